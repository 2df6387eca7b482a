#!/usr/bin/env python3
"""What the package postfix-mta-sts-resolver makes of domains: RFC 8461 by another hand.

usage: sts_client.py POLICY-PORT < DOMAINS      (a JSON list; run by judges.py, in an environment that has the package)
Names are asked of /etc/resolv.conf, certificates judged by SSL_CERT_FILE; the policy hosts listen on POLICY-PORT instead
of 443. Prints one JSON object: domain to verdict.
"""
import asyncio, json, logging, socket, sys

import aiohttp
from postfix_mta_sts_resolver.resolver import STSFetchResult, STSResolver


class OtherPort(aiohttp.ThreadedResolver):
    """The addresses of a host, and the port of the zoo beside them; URL, SNI and Host stay what they are."""

    async def resolve(self, host, port=0, family=socket.AF_INET):
        found = await super().resolve(host, port, family)
        return [{**one, "port": int(sys.argv[1])} for one in found]


class Session(aiohttp.ClientSession):
    def __init__(self, **more):
        more.pop("loop", None)
        super().__init__(connector=aiohttp.TCPConnector(resolver=OtherPort()), **more)


async def judge(domain, gate):
    async with gate:
        result, found = await STSResolver(timeout=4, loop=asyncio.get_running_loop()).resolve(domain)
    if result is STSFetchResult.NONE: return {"verdict": "none"}
    if result is not STSFetchResult.VALID: return {"verdict": "error"}
    ident, policy = found
    # Host names are the same in capitals.
    return {"verdict": "policy", "id": ident, "mode": policy["mode"], "mx": sorted(mx.lower() for mx in policy["mx"]), "max_age": policy["max_age"]}


async def main(domains):
    gate = asyncio.Semaphore(4)
    print(json.dumps(dict(zip(domains, await asyncio.gather(*(judge(domain, gate) for domain in domains))))))


aiohttp.ClientSession = Session
logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
asyncio.run(main(json.load(sys.stdin)))
