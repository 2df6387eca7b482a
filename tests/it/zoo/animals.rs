//! Recipient domains of every kind that is known to have led a mail server astray, each with what has to become of
//! mail to it. The domain of an animal is `NAME.example`, its host `mx.NAME.example`.

use std::sync::Arc;

use hickory_resolver::proto::rr::RecordType::{self, A, AAAA, MX, TLSA, TXT};
use tokio::sync::Notify;
use wardpost::world::{
    Ca, Fault, Leaf, Offers, Signing, Sink, SinkSettings, Step, StsAnswer, Tlsa, Versions, When, World, enforce, policy,
};

/// What has to become of mail to one recipient.
pub struct Animal {
    pub recipient: String,
    /// `EVENT REASON-or-LEVEL`, where the practice asks for `verified`.
    pub want: &'static str,
    /// The same where it asks for `authenticated`.
    pub strict: &'static str,
    /// The host at which the message arrives, if it does.
    pub at: String,
    /// The name of that host in the MX record, where it is another.
    pub alias: Option<String>,
    /// How the recipient hears of the parcel by mail, with `verified`.
    pub notice: Notice,
    /// The zones alone say whether DANE applies and holds: for a second judge.
    pub dane: Option<Dane>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    No,
    /// Over TLS, proven or not.
    Tls,
    Clear,
}

/// What another implementation of RFC 7672 has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dane {
    /// A usable record matches.
    Verified,
    /// TLSA records do not match, or no TLS: nothing may be sent.
    Violated,
    /// The way is not known: nothing may be sent.
    Unknown,
    /// No TLSA records that are secure.
    None,
}

pub struct Zoo<'w> {
    pub world: &'w World,
    pub animals: Vec<Animal>,
    /// Never told: whoever waits for it waits for ever.
    never: Arc<Notify>,
}

const AUTHENTICATED: &str = "delivered authenticated";
const VERIFIED: &str = "delivered verified";
const BELOW: &str = "escrowed level-not-reachable";
/// The same as without `authenticated`.
const SAME: &str = "";
use Signing::{Altered, Expired, Nsec, Nsec3, Unsigned};

impl<'w> Zoo<'w> {
    pub async fn of(world: &'w World) -> Zoo<'w> {
        let mut zoo = Zoo { world, animals: Vec::new(), never: Arc::default() };
        zoo.later_then_yes().await;
        zoo.tlsa_records().await;
        zoo.dane_names().await;
        zoo.dns_failures().await;
        zoo.undeliverable().await;
        zoo.several_hosts().await;
        zoo.mta_sts().await;
        zoo.certificates().await;
        zoo.dialogues().await;
        zoo
    }

    // --- primitives -------------------------------------------------------------------------------------------------

    fn zone(&self, name: &str, signing: Signing) -> (String, String) {
        let domain = format!("{name}.example");
        let host = format!("mx.{domain}");
        self.world.zones().add_zone(&domain, signing).unwrap();
        self.world.zones().set(&domain, "MX", &[&format!("10 {host}.")]).unwrap();
        (domain, host)
    }

    fn set(&self, owner: &str, kind: &str, value: &str) {
        self.world.zones().set(owner, kind, &[value]).unwrap();
    }

    fn fault(&self, owner: &str, kind: Option<RecordType>, fault: Fault) {
        self.world.zones().fault(owner, kind, Some(fault)).unwrap();
    }

    fn tlsa_owner(&self, host: &str) -> String {
        format!("_{}._tcp.{host}", self.world.mx_port())
    }

    fn tlsa_fault(&self, host: &str, fault: Fault) {
        self.fault(&self.tlsa_owner(host), Some(TLSA), fault);
    }

    async fn host(&self, host: &str, leaf: Option<&Leaf>) -> Arc<Sink> {
        let tls = leaf.map(|leaf| leaf.server_config(Versions::Both).unwrap());
        let settings = SinkSettings { host: host.to_owned(), tls, ..SinkSettings::default() };
        self.world.add_host(host, settings).await.unwrap()
    }

    /// A certificate that everybody trusts.
    fn good(&self, host: &str) -> Leaf {
        self.world.ca().leaf(&[host]).unwrap()
    }

    fn self_signed(&self, host: &str) -> Leaf {
        Leaf::self_signed(&[host]).unwrap()
    }

    fn tlsa(&self, host: &str, records: &[Tlsa]) {
        self.world.set_tlsa(host, records).unwrap();
    }

    fn expect(&mut self, domain: &str, want: &'static str, strict: &'static str) -> &mut Animal {
        self.expect_for(&format!("pat@{domain}"), want, strict)
    }

    fn expect_for(&mut self, recipient: &str, want: &'static str, strict: &'static str) -> &mut Animal {
        let (_, domain) = recipient.split_once('@').unwrap();
        self.animals.push(Animal {
            recipient: recipient.to_owned(),
            want,
            strict: if strict == SAME { want } else { strict },
            at: format!("mx.{domain}"),
            alias: None,
            notice: Notice::No,
            dane: None,
        });
        self.animals.last_mut().unwrap()
    }

    /// First in the row, so that there is time for a second attempt.
    async fn later_then_yes(&mut self) {
        let (domain, host) = self.zone("later-then-yes", Nsec);
        let greylisted = Step::Reply("450 4.2.1 greylisted".into());
        self.dane_good_with_ca(&host).await.times(1, When::Rcpt(None), greylisted);
        self.expect(&domain, AUTHENTICATED, SAME);
    }

    // --- DANE -------------------------------------------------------------------------------------------------------

    async fn tlsa_records(&mut self) {
        // Every kind of record that RFC 7672 calls usable. Usage 3 asks neither for a name nor for a date.
        for (selector, matching) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)] {
            let signing = if matching == 1 { Nsec } else { Nsec3 };
            let (domain, host) = self.zone(&format!("tlsa-3{selector}{matching}"), signing);
            let leaf = self.self_signed("another.name.test");
            self.tlsa(&host, &[leaf.tlsa(3, selector, matching).unwrap()]);
            self.host(&host, Some(&leaf)).await;
            self.expect(&domain, AUTHENTICATED, SAME).dane(Dane::Verified);
            let (domain, host) = self.zone(&format!("tlsa-2{selector}{matching}"), signing);
            let leaf = Ca::new("An authority of its own").unwrap().leaf_with_anchor(&[&host]).unwrap();
            self.tlsa(&host, &[leaf.tlsa(2, selector, matching).unwrap()]);
            self.host(&host, Some(&leaf)).await;
            self.expect(&domain, AUTHENTICATED, SAME).dane(Dane::Verified);
            // And the same with one bit turned.
            let (domain, host) = self.zone(&format!("wrong-3{selector}{matching}"), signing);
            let leaf = self.good(&host);
            // A whole certificate with one bit turned is no certificate; another's is a record that does not match.
            let other = self.good(&host);
            self.tlsa(&host, &[other.tlsa(3, selector, matching).unwrap()]);
            self.host(&host, Some(&leaf)).await;
            self.expect(&domain, "escrowed tlsa-invalid", SAME).dane(Dane::Violated);
            let (domain, host) = self.zone(&format!("wrong-2{selector}{matching}"), signing);
            let other = Ca::new("Another authority").unwrap().leaf_with_anchor(&[&host]).unwrap();
            let leaf = self.world.ca().leaf_with_anchor(&[&host]).unwrap();
            self.tlsa(&host, &[other.tlsa(2, selector, matching).unwrap()]);
            self.host(&host, Some(&leaf)).await;
            self.expect(&domain, "escrowed tlsa-invalid", SAME).dane(Dane::Violated);
        }

        // A set: (name, what is published for (current, former) certificate, shown certificate is the current one).
        type Published = fn(&Leaf, &Leaf) -> Vec<Tlsa>;
        fn ee(leaf: &Leaf, matching: u8) -> Tlsa {
            leaf.tlsa(3, 1, matching).unwrap()
        }
        let sets: &[(&str, Published, &'static str, Dane)] = &[
            ("rollover-new", |now, former| vec![ee(former, 1), ee(now, 1)], AUTHENTICATED, Dane::Verified),
            ("rollover-old", |now, former| vec![ee(now, 1), ee(former, 1)], AUTHENTICATED, Dane::Verified),
            ("rollover-past", |_, former| vec![ee(former, 1)], "escrowed tlsa-invalid", Dane::Violated),
            // RFC 7671, section 9: of two digests the stronger counts alone.
            ("agility", |now, former| vec![ee(now, 1), ee(former, 2)], "escrowed tlsa-invalid", Dane::Violated),
            ("agility-both", |now, former| vec![ee(former, 1), ee(now, 2)], AUTHENTICATED, Dane::Verified),
            (
                "mixed-usages",
                |now, _| vec![now.tlsa(0, 1, 1).unwrap(), now.tlsa(1, 1, 1).unwrap(), ee(now, 1)],
                AUTHENTICATED,
                Dane::Verified,
            ),
            (
                "mixed-usages-wrong",
                |now, former| vec![now.tlsa(1, 1, 1).unwrap(), ee(former, 1)],
                "escrowed tlsa-invalid",
                Dane::Violated,
            ),
            ("mixed-23", |now, former| vec![former.tlsa_mismatch(2, 0, 1).unwrap(), ee(now, 1)], AUTHENTICATED, Dane::Verified),
            ("short-digest-beside", |now, _| vec![cut(ee(now, 1), 31), ee(now, 1)], AUTHENTICATED, Dane::Verified),
        ];
        for (name, published, want, dane) in sets {
            let (domain, host) = self.zone(name, Nsec3);
            let (now, former) = (self.self_signed(&host), self.self_signed(&host));
            self.tlsa(&host, &published(&now, &former));
            self.host(&host, Some(&now)).await;
            self.expect(&domain, want, SAME).dane(*dane);
        }

        // Records that nobody can use: TLS is mandatory, and DANE says no more (RFC 7672, section 2.2).
        type Records = fn(&Leaf) -> Vec<Tlsa>;
        let unusable: &[(&str, Records)] = &[
            ("usage-0", |leaf| vec![leaf.tlsa(0, 1, 1).unwrap()]),
            ("usage-1", |leaf| vec![leaf.tlsa(1, 1, 1).unwrap()]),
            ("usage-01", |leaf| vec![leaf.tlsa(0, 0, 1).unwrap(), leaf.tlsa(1, 1, 2).unwrap()]),
            ("usage-4", |leaf| vec![Tlsa { usage: 4, ..ee(leaf, 1) }]),
            ("selector-2", |leaf| vec![Tlsa { selector: 2, ..ee(leaf, 1) }]),
            ("matching-3", |leaf| vec![Tlsa { matching: 3, ..ee(leaf, 1) }]),
            ("digest-31", |leaf| vec![cut(ee(leaf, 1), 31)]),
            ("digest-64", |leaf| vec![cut(ee(leaf, 1), 64)]),
            ("digest-0", |leaf| vec![cut(ee(leaf, 1), 0)]),
            ("no-certificate", |leaf| vec![cut(leaf.tlsa(3, 0, 0).unwrap(), 40)]),
        ];
        for (name, published) in unusable {
            let (domain, host) = self.zone(&format!("{name}-good"), Nsec);
            let leaf = self.good(&host);
            self.tlsa(&host, &published(&leaf));
            self.host(&host, Some(&leaf)).await;
            self.expect(&domain, VERIFIED, BELOW);
            let (domain, host) = self.zone(&format!("{name}-bad"), Nsec);
            let leaf = self.self_signed(&host);
            self.tlsa(&host, &published(&leaf));
            self.host(&host, Some(&leaf)).await;
            self.expect(&domain, "escrowed certificate-not-trusted", BELOW).notice = Notice::Tls;
        }
        let (domain, host) = self.zone("unusable-clear", Nsec);
        self.tlsa(&host, &[self.good(&host).tlsa(1, 1, 1).unwrap()]);
        self.host(&host, None).await;
        self.expect(&domain, "escrowed starttls-not-supported", BELOW);

        // Trust anchors: the chain, the dates and the name count (RFC 7672, section 3.1.2).
        let own = Ca::new("An authority of its own").unwrap();
        let (domain, host) = self.zone("ta-other-name", Nsec);
        let leaf = own.leaf_with_anchor(&["another.name.test"]).unwrap();
        self.tlsa(&host, &[leaf.tlsa(2, 0, 1).unwrap()]);
        self.host(&host, Some(&leaf)).await;
        self.expect(&domain, "escrowed certificate-host-mismatch", SAME).dane(Dane::Violated);
        let (domain, host) = self.zone("ta-domain-name", Nsec);
        let leaf = own.leaf_with_anchor(&[&domain]).unwrap();
        self.tlsa(&host, &[leaf.tlsa(2, 0, 1).unwrap()]);
        self.host(&host, Some(&leaf)).await;
        self.expect(&domain, AUTHENTICATED, SAME).dane(Dane::Verified);
        let (domain, host) = self.zone("ta-expired", Nsec);
        let leaf = own.expired_leaf_with_anchor(&[&host]).unwrap();
        self.tlsa(&host, &[leaf.tlsa(2, 0, 1).unwrap()]);
        self.host(&host, Some(&leaf)).await;
        self.expect(&domain, "escrowed certificate-expired", SAME).dane(Dane::Violated);
        let (domain, host) = self.zone("ee-expired", Nsec);
        let leaf = own.expired_leaf_with_anchor(&[&host]).unwrap();
        self.tlsa(&host, &[leaf.tlsa(3, 1, 1).unwrap()]);
        self.host(&host, Some(&leaf)).await;
        self.expect(&domain, AUTHENTICATED, SAME).dane(Dane::Verified);
        for (name, matching, want, dane) in
            [("ta-not-sent", 1, "escrowed tlsa-invalid", Dane::Violated), ("ta-in-the-record", 0, AUTHENTICATED, Dane::Verified)]
        {
            let (domain, host) = self.zone(name, Nsec);
            let anchor = own.leaf_with_anchor(&[&host]).unwrap().tlsa(2, 0, matching).unwrap();
            self.tlsa(&host, &[anchor]);
            self.host(&host, Some(&own.leaf(&[&host]).unwrap())).await;
            self.expect(&domain, want, SAME).dane(dane);
        }

        // TLSA records ask for TLS, whatever the certificate.
        let (domain, host) = self.zone("dane-clear", Nsec3);
        self.tlsa(&host, &[self.self_signed(&host).tlsa(3, 1, 1).unwrap()]);
        self.host(&host, None).await;
        self.expect(&domain, "escrowed starttls-not-supported", SAME).dane(Dane::Violated);
        let (domain, host) = self.zone("dane-454", Nsec3);
        let leaf = self.self_signed(&host);
        self.tlsa(&host, &[leaf.tlsa(3, 1, 1).unwrap()]);
        self.host(&host, Some(&leaf)).await.always(When::StartTls, Step::Reply("454 4.7.0 not now".into()));
        self.expect(&domain, "escrowed tls-failed", SAME).dane(Dane::Violated);
    }

    /// A host with a TLSA record that matches.
    async fn dane_host(&self, host: &str) -> Leaf {
        let leaf = self.self_signed(host);
        self.tlsa(host, &[leaf.tlsa(3, 1, 1).unwrap()]);
        self.host(host, Some(&leaf)).await;
        leaf
    }

    async fn dane_names(&mut self) {
        let (shared, shared_host) = self.zone("dane-shared", Nsec);
        self.dane_host(&shared_host).await;
        self.expect(&shared, AUTHENTICATED, SAME).dane(Dane::Verified);

        // The MX answer chooses the host: where it can be forged, the host's TLSA records prove nothing.
        let (domain, _) = self.zone("insecure-mx", Unsigned);
        self.set(&domain, "MX", &format!("10 {shared_host}."));
        let animal = self.expect(&domain, "escrowed certificate-not-trusted", BELOW).dane(Dane::None);
        (animal.at, animal.notice) = (shared_host.clone(), Notice::Tls);
        let (good, good_host) = self.zone("dane-and-webpki", Nsec);
        let leaf = self.good(&good_host);
        self.tlsa(&good_host, &[leaf.tlsa(3, 1, 1).unwrap()]);
        self.host(&good_host, Some(&leaf)).await;
        self.expect(&good, AUTHENTICATED, SAME).dane(Dane::Verified);
        let (domain, _) = self.zone("insecure-mx-webpki", Unsigned);
        self.set(&domain, "MX", &format!("10 {good_host}."));
        self.expect(&domain, VERIFIED, BELOW).dane(Dane::None).at = good_host.clone();
        // Two signed domains share a host: each has its own proof.
        let (domain, _) = self.zone("secure-mx-of-others", Nsec3);
        self.set(&domain, "MX", &format!("10 {shared_host}."));
        self.expect(&domain, AUTHENTICATED, SAME).dane(Dane::Verified).at = shared_host.clone();

        // Aliases (RFC 7672, section 2.2.2).
        let (domain, host) = self.zone("mx-cname", Nsec);
        self.set(&host, "CNAME", &format!("{shared_host}."));
        self.expect(&domain, AUTHENTICATED, SAME).dane(Dane::Verified).is_alias_of(&shared_host);
        let (_, away_host) = self.zone("unsigned-away", Unsigned);
        self.host(&away_host, Some(&self.good("mx.mx-cname-away.example"))).await;
        let (domain, host) = self.zone("mx-cname-away", Nsec);
        self.set(&host, "CNAME", &format!("{away_host}."));
        self.expect(&domain, VERIFIED, BELOW).dane(Dane::None).is_alias_of(&away_host);
        let (domain, host) = self.zone("mx-cname-away-own-tlsa", Nsec);
        let (_, away_host) = self.zone("unsigned-away-2", Unsigned);
        let leaf = self.self_signed(&host);
        self.host(&away_host, Some(&leaf)).await;
        self.set(&host, "CNAME", &format!("{away_host}."));
        self.tlsa(&host, &[leaf.tlsa(3, 1, 1).unwrap()]);
        self.expect(&domain, AUTHENTICATED, SAME).dane(Dane::Verified).is_alias_of(&away_host);
        let (domain, host) = self.zone("mx-cname-insecure", Unsigned);
        self.set(&host, "CNAME", &format!("{good_host}."));
        // A certificate for the target is none for the name in the MX record.
        self.expect(&domain, "escrowed certificate-host-mismatch", BELOW).notice = Notice::Tls;
        let (domain, host) = self.zone("tlsa-cname", Nsec);
        let leaf = self.self_signed(&host);
        self.host(&host, Some(&leaf)).await;
        self.world.zones().set(&self.tlsa_owner(&host), "CNAME", &["keys.tlsa-cname.example."]).unwrap();
        let hex: String = leaf.tlsa(3, 1, 1).unwrap().association.iter().map(|byte| format!("{byte:02x}")).collect();
        self.set("keys.tlsa-cname.example", "TLSA", &format!("3 1 1 {hex}"));
        self.expect(&domain, AUTHENTICATED, SAME).dane(Dane::Verified);
        let (domain, host) = self.zone("tlsa-cname-away", Nsec);
        self.host(&host, Some(&self.good(&host))).await;
        self.set(&self.tlsa_owner(&host), "CNAME", "keys.unsigned-away.example.");
        self.set("keys.unsigned-away.example", "TLSA", &format!("3 1 1 {hex}"));
        // Whoever forges the unsigned target must not decide; the records count for nothing.
        self.expect(&domain, VERIFIED, BELOW).dane(Dane::None);
        let (domain, _) = self.zone("domain-cname", Nsec3);
        self.world.zones().set(&domain, "MX", &[]).unwrap();
        self.set("alias.domain-cname.example", "CNAME", &format!("{shared}."));
        self.expect("alias.domain-cname.example", AUTHENTICATED, SAME).dane(Dane::Verified).at = shared_host.clone();

        // No MX record: the domain is the host (RFC 5321, section 5.1).
        for (name, signing) in [("implicit-mx", Nsec), ("implicit-mx-nsec3", Nsec3)] {
            let (domain, _) = self.zone(name, signing);
            self.world.zones().set(&domain, "MX", &[]).unwrap();
            self.dane_host(&domain).await;
            self.expect(&domain, AUTHENTICATED, SAME).dane(Dane::Verified).at.clone_from(&domain);
        }
        let (domain, _) = self.zone("implicit-mx-unsigned", Unsigned);
        self.world.zones().set(&domain, "MX", &[]).unwrap();
        self.host(&domain, Some(&self.good(&domain))).await;
        self.expect(&domain, VERIFIED, BELOW).at.clone_from(&domain);

        // Answers out of a wildcard, with either kind of denial beside them.
        for (name, signing) in [("wild-mx", Nsec), ("wild-mx-nsec3", Nsec3)] {
            let (domain, host) = self.zone(name, signing);
            self.dane_host(&host).await;
            self.set(&format!("*.{domain}"), "MX", &format!("10 {host}."));
            self.expect(&format!("any.{domain}"), AUTHENTICATED, SAME).dane(Dane::Verified).at = host;
        }
        for (name, signing) in [("wild-tlsa", Nsec), ("wild-tlsa-nsec3", Nsec3)] {
            let (domain, host) = self.zone(name, signing);
            let leaf = self.self_signed(&host);
            self.host(&host, Some(&leaf)).await;
            let hex: String = leaf.tlsa(3, 1, 1).unwrap().association.iter().map(|byte| format!("{byte:02x}")).collect();
            self.set(&format!("*._tcp.{host}"), "TLSA", &format!("3 1 1 {hex}"));
            self.expect(&domain, AUTHENTICATED, SAME).dane(Dane::Verified);
        }

        // Signed without TLSA; unsigned with TLSA; an unsigned child of a signed parent.
        for (name, signing) in [("signed-bare", Nsec), ("signed-bare-nsec3", Nsec3), ("unsigned-bare", Unsigned)] {
            let (domain, host) = self.zone(name, signing);
            self.host(&host, Some(&self.good(&host))).await;
            self.expect(&domain, VERIFIED, BELOW).dane(Dane::None);
        }
        let (domain, host) = self.zone("unsigned-tlsa", Unsigned);
        self.tlsa(&host, &[self.self_signed(&host).tlsa(3, 1, 1).unwrap()]);
        self.host(&host, Some(&self.good(&host))).await;
        self.expect(&domain, VERIFIED, BELOW).dane(Dane::None);
        let (domain, host) = self.zone("unsigned-child.dane-shared", Unsigned);
        self.tlsa(&host, &[self.self_signed(&host).tlsa(3, 1, 1).unwrap()]);
        self.host(&host, Some(&self.good(&host))).await;
        self.expect(&domain, VERIFIED, BELOW).dane(Dane::None);
        // A signed zone whose MX names a host of an unsigned one.
        let (_, host) = self.zone("hosts-unsigned", Unsigned);
        self.host(&host, Some(&self.good(&host))).await;
        self.tlsa(&host, &[self.self_signed(&host).tlsa(3, 1, 1).unwrap()]);
        let (domain, _) = self.zone("signed-to-unsigned", Nsec);
        self.set(&domain, "MX", &format!("10 {host}."));
        self.expect(&domain, VERIFIED, BELOW).dane(Dane::None).at = host;
    }

    // --- DNS that fails ---------------------------------------------------------------------------------------------

    async fn dns_failures(&mut self) {
        // The certificate is good each time: who folds a failure into "there is none" delivers.
        for (name, signing) in [("bogus", Altered), ("expired-signatures", Expired)] {
            let (domain, host) = self.zone(name, signing);
            self.dane_good_with_ca(&host).await;
            self.expect(&domain, "escrowed dnssec-invalid", SAME).dane(Dane::Unknown);
        }
        for (name, signing, fault) in [
            ("mx-servfail", Nsec, Fault::ServFail),
            ("mx-timeout", Nsec, Fault::Silent),
            ("mx-refused", Nsec3, Fault::Refused),
            ("mx-servfail-unsigned", Unsigned, Fault::ServFail),
        ] {
            let (domain, host) = self.zone(name, signing);
            self.dane_good_with_ca(&host).await;
            self.fault(&domain, Some(MX), fault);
            self.expect(&domain, "escrowed dns-failed", SAME).dane(Dane::Unknown);
        }
        for (name, signing, fault) in [
            ("tlsa-servfail", Nsec, Fault::ServFail),
            ("tlsa-servfail-nsec3", Nsec3, Fault::ServFail),
            ("tlsa-timeout", Nsec, Fault::Silent),
            ("tlsa-refused", Nsec3, Fault::Refused),
        ] {
            let (domain, host) = self.zone(name, signing);
            self.dane_good_with_ca(&host).await;
            self.tlsa_fault(&host, fault);
            self.expect(&domain, "escrowed dns-failed", SAME).dane(Dane::Unknown);
        }
        for (name, signing, fault) in [
            ("address-servfail", Nsec, Fault::ServFail),
            ("address-timeout", Nsec, Fault::Silent),
            ("address-servfail-unsigned", Unsigned, Fault::ServFail),
        ] {
            let (domain, host) = self.zone(name, signing);
            self.dane_good_with_ca(&host).await;
            self.fault(&host, Some(A), fault);
            self.expect(&domain, "escrowed dns-failed", SAME).dane(Dane::Unknown);
        }
        let (domain, host) = self.zone("aaaa-servfail", Nsec);
        self.dane_good_with_ca(&host).await;
        self.fault(&host, Some(AAAA), Fault::ServFail);
        self.expect(&domain, AUTHENTICATED, SAME).dane(Dane::Verified);
        // Everything is secure but one answer, whose zone is broken.
        let (_, bogus_host) = self.zone("bogus-hosts", Altered);
        self.host(&bogus_host, Some(&self.good(&bogus_host))).await;
        let (domain, _) = self.zone("address-bogus", Nsec);
        self.set(&domain, "MX", &format!("10 {bogus_host}."));
        self.expect(&domain, "escrowed dnssec-invalid", SAME).dane(Dane::Unknown);
        let (domain, host) = self.zone("tlsa-bogus", Nsec);
        self.host(&host, Some(&self.good(&host))).await;
        self.set("keys.bogus-hosts.example", "TLSA", &format!("3 1 1 {}", "ab".repeat(32)));
        self.set(&self.tlsa_owner(&host), "CNAME", "keys.bogus-hosts.example.");
        self.expect(&domain, "escrowed dnssec-invalid", SAME).dane(Dane::Unknown);
    }

    async fn dane_good_with_ca(&self, host: &str) -> Arc<Sink> {
        let leaf = self.good(host);
        self.tlsa(host, &[leaf.tlsa(3, 1, 1).unwrap()]);
        self.host(host, Some(&leaf)).await
    }

    async fn undeliverable(&mut self) {
        self.zone("empty-signed", Nsec);
        self.zone("empty-unsigned", Unsigned);
        self.expect("nobody.empty-signed.example", "bounced domain-not-found", SAME);
        self.expect("nobody.empty-unsigned.example", "bounced domain-not-found", SAME);
        let (domain, _) = self.zone("no-mx-no-a", Nsec3);
        self.world.zones().set(&domain, "MX", &[]).unwrap();
        self.expect(&domain, "bounced domain-not-found", SAME);
        let (domain, _) = self.zone("mx-to-nowhere", Nsec);
        self.expect(&domain, "bounced domain-not-found", SAME);
        let (domain, _) = self.zone("null-mx", Nsec);
        self.set(&domain, "MX", "0 .");
        self.expect(&domain, "bounced null-mx", SAME);
        for (name, target, want) in [
            ("mx-localhost", "localhost.", "bounced mx-is-us"),
            ("mx-own-name", "here.mx-own-name.example.", "bounced mx-is-us"),
            ("mx-literal", "127.0.0.1.", "bounced domain-not-found"),
        ] {
            let (domain, _) = self.zone(name, Unsigned);
            self.set(&domain, "MX", &format!("10 {target}"));
            self.expect(&domain, want, SAME);
        }
        self.set("here.mx-own-name.example", "A", "127.0.0.1");
    }

    // --- several hosts ----------------------------------------------------------------------------------------------

    fn two(&self, name: &str, signing: Signing) -> (String, String, String) {
        let domain = format!("{name}.example");
        let (one, two) = (format!("one.{domain}"), format!("two.{domain}"));
        self.world.zones().add_zone(&domain, signing).unwrap();
        self.world.zones().set(&domain, "MX", &[&format!("10 {one}."), &format!("20 {two}.")]).unwrap();
        (domain, one, two)
    }

    async fn several_hosts(&mut self) {
        let (domain, one, two) = self.two("first-mismatch", Nsec);
        self.tlsa(&one, &[self.self_signed(&one).tlsa(3, 1, 1).unwrap()]);
        self.host(&one, Some(&self.good(&one))).await;
        self.dane_host(&two).await;
        self.expect(&domain, AUTHENTICATED, SAME).at = two;

        let (domain, one, two) = self.two("first-clear", Unsigned);
        self.host(&one, None).await;
        self.host(&two, Some(&self.good(&two))).await;
        self.expect(&domain, VERIFIED, BELOW).at = two;

        let (domain, one, two) = self.two("first-weak", Unsigned);
        self.host(&one, Some(&self.self_signed(&one))).await;
        self.host(&two, Some(&self.good(&two))).await;
        self.expect(&domain, VERIFIED, BELOW).at = two;

        let (domain, one, two) = self.two("first-dead", Unsigned);
        let silent = self.world.silent_address().await.unwrap().to_string();
        self.set(&one, "A", &silent);
        self.host(&two, Some(&self.good(&two))).await;
        self.expect(&domain, VERIFIED, BELOW).at = two;

        let (domain, one, two) = self.two("first-busy", Nsec);
        self.dane_good_with_ca(&one).await.always(When::Connect, Step::Reply("421 4.3.2 busy".into()));
        self.dane_good_with_ca(&two).await;
        self.expect(&domain, AUTHENTICATED, SAME).at = two;

        // One host is proven to have no TLSA records; that of the other nobody knows.
        let (domain, one, two) = self.two("first-tlsa-servfail", Nsec);
        self.dane_good_with_ca(&one).await;
        self.tlsa_fault(&one, Fault::ServFail);
        self.host(&two, Some(&self.good(&two))).await;
        self.expect(&domain, VERIFIED, "escrowed dns-failed").at = two;

        let (domain, one, two) = self.two("both-tlsa-servfail", Nsec);
        for host in [&one, &two] {
            self.dane_good_with_ca(host).await;
            self.tlsa_fault(host, Fault::ServFail);
        }
        self.expect(&domain, "escrowed dns-failed", SAME);

        // The only host that answers has no STARTTLS, beside one that was not asked: not a domain that cannot.
        let (domain, one, two) = self.two("unknown-then-clear", Nsec);
        self.dane_good_with_ca(&one).await;
        self.tlsa_fault(&one, Fault::ServFail);
        self.host(&two, None).await;
        self.expect(&domain, "escrowed dns-failed", SAME);

        let (domain, one, two) = self.two("mismatch-then-clear", Nsec);
        self.tlsa(&one, &[self.self_signed(&one).tlsa(3, 1, 1).unwrap()]);
        self.host(&one, Some(&self.good(&one))).await;
        self.host(&two, None).await;
        self.expect(&domain, "escrowed tlsa-invalid", SAME);

        let (domain, one, two) = self.two("clear-then-mismatch", Nsec);
        self.host(&one, None).await;
        self.tlsa(&two, &[self.self_signed(&two).tlsa(3, 1, 1).unwrap()]);
        self.host(&two, Some(&self.good(&two))).await;
        self.expect(&domain, "escrowed tlsa-invalid", SAME);

        let (domain, one, two) = self.two("clear-then-weak", Unsigned);
        self.host(&one, None).await;
        self.host(&two, Some(&self.self_signed(&two))).await;
        self.expect(&domain, "escrowed certificate-not-trusted", BELOW).notice = Notice::Tls;

        let (domain, one, two) = self.two("both-clear", Unsigned);
        self.host(&one, None).await;
        self.host(&two, None).await;
        self.expect(&domain, "escrowed starttls-not-supported", BELOW).notice = Notice::Clear;

        let (domain, one, two) = self.two("sts-second-listed", Unsigned);
        self.host(&one, Some(&self.good(&one))).await;
        self.host(&two, Some(&self.good(&two))).await;
        self.world.set_sts(&domain, StsAnswer::Policy(enforce(&[&two]))).unwrap();
        self.expect(&domain, AUTHENTICATED, SAME).at = two;

        let (domain, one, two) = self.two("same-preference", Unsigned);
        self.world.zones().set(&domain, "MX", &[&format!("10 {one}."), &format!("10 {two}.")]).unwrap();
        self.host(&one, Some(&self.good("another.name.test"))).await;
        self.host(&two, Some(&self.good(&two))).await;
        self.expect(&domain, VERIFIED, BELOW).at = two;

        let (domain, one, two) = self.two("first-is-us", Unsigned);
        self.set(&one, "A", "127.0.0.1");
        self.host(&two, Some(&self.good(&two))).await;
        self.expect(&domain, "bounced mx-is-us", SAME);
    }

    // --- MTA-STS ----------------------------------------------------------------------------------------------------

    async fn sts(&mut self, name: &str, answer: StsAnswer) -> String {
        let (domain, host) = self.zone(name, Unsigned);
        self.host(&host, Some(&self.good(&host))).await;
        self.world.set_sts(&domain, answer).unwrap();
        domain
    }

    async fn mta_sts(&mut self) {
        type Row = (&'static str, StsAnswer, &'static str, &'static str);
        let listed = |name: &str| format!("mx.{name}.example");
        let no_mx = "version: STSv1\r\nmode: enforce\r\nmax_age: 86400\r\n".to_owned();
        let fetched = "escrowed sts-fetch-failed";
        let unreadable = "escrowed sts-policy-invalid";
        let rows: Vec<Row> = vec![
            ("sts-enforce", StsAnswer::Policy(enforce(&[&listed("sts-enforce")])), AUTHENTICATED, SAME),
            ("sts-wildcard", StsAnswer::Policy(enforce(&["*.sts-wildcard.example"])), AUTHENTICATED, SAME),
            ("sts-wildcard-two", StsAnswer::Policy(enforce(&["*.example"])), "escrowed sts-host-not-listed", SAME),
            ("sts-other-host", StsAnswer::Policy(enforce(&["mx.test"])), "escrowed sts-host-not-listed", SAME),
            ("sts-testing", StsAnswer::Policy(policy("testing", &["mx.test"], 86_400)), VERIFIED, BELOW),
            ("sts-none", StsAnswer::Policy(policy("none", &[], 86_400)), VERIFIED, BELOW),
            // A life of more than a year is read as a year, not as no policy.
            ("sts-long-age", StsAnswer::Policy(policy("enforce", &[&listed("sts-long-age")], 99_999_999)), AUTHENTICATED, SAME),
            ("sts-lf", StsAnswer::Policy(enforce(&[&listed("sts-lf")]).replace('\r', "")), AUTHENTICATED, SAME),
            ("sts-capitals", StsAnswer::Policy(enforce(&["MX.STS-Capitals.Example"])), AUTHENTICATED, SAME),
            ("sts-extra-key", StsAnswer::Policy(enforce(&[&listed("sts-extra-key")]) + "x-1: y z\r\n"), AUTHENTICATED, SAME),
            ("sts-two-modes", StsAnswer::Policy(enforce(&[&listed("sts-two-modes")]) + "mode: none\r\n"), AUTHENTICATED, SAME),
            ("sts-empty-line", StsAnswer::Policy(enforce(&["mx.test"]) + "\r\n"), "escrowed sts-host-not-listed", SAME),
            ("sts-mode-capital", StsAnswer::Policy(policy("Enforce", &["mx.test"], 86_400)), VERIFIED, unreadable),
            // RFC 8461, section 3.3: an announced policy that cannot be had is none; where more than a verified peer
            // is asked for, nobody knows.
            ("sts-no-mx", StsAnswer::Policy(no_mx), VERIFIED, unreadable),
            ("sts-redirect", StsAnswer::Redirect("https://elsewhere.example/".into()), VERIFIED, fetched),
            ("sts-404", StsAnswer::NotFound, VERIFIED, fetched),
            ("sts-500", StsAnswer::Status(500), VERIFIED, fetched),
            ("sts-oversize", StsAnswer::Oversize(64 * 1024 + 1), VERIFIED, fetched),
            ("sts-type", StsAnswer::WrongType(enforce(&["mx.test"])), VERIFIED, fetched),
            ("sts-cut", StsAnswer::Cut(enforce(&["mx.test"])), VERIFIED, fetched),
            ("sts-hang", StsAnswer::Hang, VERIFIED, fetched),
            ("sts-nonsense", StsAnswer::Policy("<html>".into()), VERIFIED, unreadable),
        ];
        for (name, answer, want, strict) in rows {
            let domain = self.sts(name, answer).await;
            self.expect(&domain, want, strict);
        }
        // The policy host's own certificate. The policy would forbid the host: who believes it anyway shows.
        let unlisted = || StsAnswer::Policy(enforce(&["mx.test"]));
        for (name, leaf) in [
            ("sts-expired", self.world.ca().expired_leaf(&["mta-sts.sts-expired.example"]).unwrap()),
            ("sts-untrusted", Leaf::self_signed(&["mta-sts.sts-untrusted.example"]).unwrap()),
            ("sts-other-name", self.world.ca().leaf(&["mta-sts.test"]).unwrap()),
        ] {
            let domain = self.sts(name, unlisted()).await;
            self.world.sts().set(&format!("mta-sts.{domain}"), &leaf, unlisted()).unwrap();
            self.expect(&domain, VERIFIED, fetched);
        }
        let domain = self.sts("sts-no-host", unlisted()).await;
        self.world.zones().set(&format!("mta-sts.{domain}"), "A", &[]).unwrap();
        self.expect(&domain, VERIFIED, fetched);

        // Records that announce nothing (RFC 8461, section 3.1).
        for (name, texts) in [
            ("sts-two-txt", &["v=STSv1; id=1;", "v=STSv1; id=2;"][..]),
            ("sts-bad-txt", &["v=STSv1; id=a-b;"][..]),
            ("sts-v2-txt", &["v=STSv2; id=1;"][..]),
            ("sts-no-id", &["v=STSv1;"][..]),
        ] {
            let domain = self.sts(name, unlisted()).await;
            self.world.zones().set_txt(&format!("_mta-sts.{domain}"), texts).unwrap();
            self.expect(&domain, VERIFIED, BELOW);
        }
        for (name, fault) in [("sts-txt-servfail", Fault::ServFail), ("sts-txt-timeout", Fault::Silent)] {
            let domain = self.sts(name, unlisted()).await;
            self.fault(&format!("_mta-sts.{domain}"), Some(TXT), fault);
            self.expect(&domain, VERIFIED, "escrowed dns-failed");
        }

        // A policy in force that the host does not keep.
        for (name, leaf, want) in [
            ("sts-self-signed", Some(self.self_signed("mx.sts-self-signed.example")), "escrowed certificate-not-trusted"),
            ("sts-wrong-name", Some(self.good("mx.test")), "escrowed certificate-host-mismatch"),
            (
                "sts-expired-mx",
                Some(self.world.ca().expired_leaf(&["mx.sts-expired-mx.example"]).unwrap()),
                "escrowed certificate-expired",
            ),
            ("sts-clear", None, "escrowed starttls-not-supported"),
        ] {
            let (domain, host) = self.zone(name, Unsigned);
            self.host(&host, leaf.as_ref()).await;
            self.world.set_sts(&domain, StsAnswer::Policy(enforce(&[&host]))).unwrap();
            self.expect(&domain, want, SAME);
        }
        // Testing asks for reports only.
        let (domain, host) = self.zone("sts-testing-clear", Unsigned);
        self.host(&host, None).await;
        self.world.set_sts(&domain, StsAnswer::Policy(policy("testing", &[&host], 86_400))).unwrap();
        self.expect(&domain, "escrowed starttls-not-supported", BELOW).notice = Notice::Clear;

        // A policy may be hidden behind the failure: what falls short is no inability, and nothing is said in clear.
        for (name, leaf) in
            [("sts-404-clear", None), ("sts-404-self-signed", Some(self.self_signed("mx.sts-404-self-signed.example")))]
        {
            let (domain, host) = self.zone(name, Unsigned);
            self.host(&host, leaf.as_ref()).await;
            self.world.set_sts(&domain, StsAnswer::NotFound).unwrap();
            self.expect(&domain, fetched, SAME);
        }
        for (name, leaf) in
            [("sts-txt-clear", None), ("sts-txt-self-signed", Some(self.self_signed("mx.sts-txt-self-signed.example")))]
        {
            let (domain, host) = self.zone(name, Unsigned);
            self.host(&host, leaf.as_ref()).await;
            self.world.set_sts(&domain, StsAnswer::Policy(enforce(&[&host]))).unwrap();
            self.fault(&format!("_mta-sts.{domain}"), Some(TXT), Fault::ServFail);
            self.expect(&domain, "escrowed dns-failed", SAME);
        }

        // Both: DANE wins, and MTA-STS repairs nothing.
        let (domain, host) = self.zone("dane-wins", Nsec);
        self.dane_host(&host).await;
        self.world.set_sts(&domain, unlisted()).unwrap();
        self.expect(&domain, AUTHENTICATED, SAME);
        let (domain, host) = self.zone("sts-repairs-no-mismatch", Nsec);
        self.tlsa(&host, &[self.self_signed(&host).tlsa(3, 1, 1).unwrap()]);
        self.host(&host, Some(&self.good(&host))).await;
        self.world.set_sts(&domain, StsAnswer::Policy(enforce(&[&host]))).unwrap();
        self.expect(&domain, "escrowed tlsa-invalid", SAME);
        let (domain, host) = self.zone("sts-repairs-no-servfail", Nsec);
        self.host(&host, Some(&self.good(&host))).await;
        self.tlsa_fault(&host, Fault::ServFail);
        self.world.set_sts(&domain, StsAnswer::Policy(enforce(&[&host]))).unwrap();
        self.expect(&domain, "escrowed dns-failed", SAME);
        let (domain, host) = self.zone("sts-beside-unusable", Nsec);
        let leaf = self.good(&host);
        self.tlsa(&host, &[leaf.tlsa(1, 1, 1).unwrap()]);
        self.host(&host, Some(&leaf)).await;
        self.world.set_sts(&domain, StsAnswer::Policy(enforce(&[&host]))).unwrap();
        self.expect(&domain, VERIFIED, BELOW);
        let (domain, host) = self.zone("sts-beside-unusable-broken", Nsec);
        let leaf = self.self_signed(&host);
        self.tlsa(&host, &[leaf.tlsa(1, 1, 1).unwrap()]);
        self.host(&host, Some(&leaf)).await;
        self.world.set_sts(&domain, StsAnswer::Policy(enforce(&[&host]))).unwrap();
        self.expect(&domain, "escrowed certificate-not-trusted", BELOW);
    }

    // --- TLS --------------------------------------------------------------------------------------------------------

    async fn certificates(&mut self) {
        for (name, versions) in [("tls-12", Versions::Only12), ("tls-13", Versions::Only13)] {
            let (domain, host) = self.zone(name, Unsigned);
            let sink = self.host(&host, None).await;
            sink.set_tls(Some(self.good(&host).server_config(versions).unwrap()));
            self.expect(&domain, VERIFIED, BELOW);
        }
        let (domain, host) = self.zone("cert-wildcard", Unsigned);
        self.host(&host, Some(&self.world.ca().leaf(&["*.cert-wildcard.example"]).unwrap())).await;
        self.expect(&domain, VERIFIED, BELOW);
        for (name, leaf, want) in [
            ("cert-expired", self.world.ca().expired_leaf(&["mx.cert-expired.example"]).unwrap(), "escrowed certificate-expired"),
            ("cert-self-signed", self.self_signed("mx.cert-self-signed.example"), "escrowed certificate-not-trusted"),
            ("cert-other-name", self.good("mx.test"), "escrowed certificate-host-mismatch"),
            ("cert-domain-name", self.good("cert-domain-name.example"), "escrowed certificate-host-mismatch"),
            ("cert-wildcard-two", self.good("*.example"), "escrowed certificate-host-mismatch"),
            (
                "cert-other-authority",
                Ca::new("Unknown").unwrap().leaf_with_anchor(&["mx.cert-other-authority.example"]).unwrap(),
                "escrowed certificate-not-trusted",
            ),
        ] {
            let (domain, host) = self.zone(name, Unsigned);
            self.host(&host, Some(&leaf)).await;
            self.expect(&domain, want, BELOW).notice = Notice::Tls;
        }
        let (domain, host) = self.zone("clear", Unsigned);
        self.host(&host, None).await;
        self.expect(&domain, "escrowed starttls-not-supported", BELOW).notice = Notice::Clear;
        let (domain, host) = self.zone("clear-signed", Nsec);
        self.host(&host, None).await;
        self.expect(&domain, "escrowed starttls-not-supported", BELOW).notice = Notice::Clear;

        // STARTTLS that is offered and does not come about is no domain without TLS.
        for (name, when, step) in [
            ("starttls-454", When::StartTls, Step::Reply("454 4.7.0 not now".into())),
            ("starttls-502", When::StartTls, Step::Reply("502 5.5.1 what?".into())),
            ("starttls-dropped", When::StartTls, Step::Drop),
            ("starttls-injected", When::StartTls, Step::Reply("220 go\r\n250 injected".into())),
            ("starttls-injected-later", When::Handshake, Step::Reply("250-injected\r\n250 STARTTLS".into())),
            ("handshake-cut", When::Handshake, Step::Drop),
            ("handshake-cut-after-hello", When::Handshake, Step::AnswerHello(vec![])),
            ("handshake-nonsense", When::Handshake, Step::AnswerHello(b"500 5.5.1 what?\r\n".to_vec())),
            ("tls-10", When::Handshake, Step::AnswerHello(tls_10_hello())),
            ("tls-too-old", When::Handshake, Step::AnswerHello(b"\x15\x03\x01\x00\x02\x02\x46".to_vec())),
            ("hang-starttls", When::StartTls, Step::Wait(Arc::clone(&self.never))),
            ("hang-handshake", When::Handshake, Step::Wait(Arc::clone(&self.never))),
        ] {
            let (domain, host) = self.zone(name, Unsigned);
            self.host(&host, Some(&self.good(&host))).await.always(when, step);
            self.expect(&domain, "escrowed tls-failed", BELOW);
        }
    }

    // --- dialogues --------------------------------------------------------------------------------------------------

    async fn dialogues(&mut self) {
        // All of them are proven by DANE, so that what is asked makes no difference.
        let wait = Step::Wait(Arc::clone(&self.never));
        let long = "220-".to_owned() + &"x".repeat(5000);
        let plain = Offers { chunking: false, ..Offers::default() };
        let reply = |text: &str| Step::Reply(text.to_owned());
        let rows = vec![
            ("greeting-554", When::Connect, reply("554 5.7.1 go away"), "escrowed greeting-refused"),
            ("greeting-421", When::Connect, reply("421 4.3.2 busy"), "escrowed temporary-reply"),
            ("greeting-dropped", When::Connect, Step::Drop, "escrowed protocol-error"),
            ("greeting-endless", When::Connect, Step::Flood("220-and\r\n".into()), "escrowed protocol-error"),
            ("greeting-no-line", When::Connect, Step::Flood("220 ".into()), "escrowed protocol-error"),
            ("greeting-long-line", When::Connect, Step::Reply(long), "escrowed protocol-error"),
            ("greeting-nonsense", When::Connect, reply("SSH-2.0-OpenSSH_9.2"), "escrowed protocol-error"),
            ("hang-greeting", When::Connect, wait.clone(), "escrowed timeout"),
            ("ehlo-refused", When::Ehlo, reply("502 5.5.1 only HELO here"), "escrowed greeting-refused"),
            ("ehlo-endless", When::Ehlo, Step::Flood("250-X-MORE\r\n".into()), "escrowed protocol-error"),
            ("ehlo-4xx", When::Ehlo, reply("450 4.7.1 later"), "escrowed temporary-reply"),
            ("hang-ehlo", When::Ehlo, wait.clone(), "escrowed timeout"),
            ("inside-4xx", When::EhloInside, reply("421 4.3.2 busy"), "escrowed temporary-reply"),
            ("inside-5xx", When::EhloInside, reply("550 5.7.1 no"), "escrowed greeting-refused"),
            ("inside-dropped", When::EhloInside, Step::Drop, "escrowed protocol-error"),
            ("hang-inside", When::EhloInside, wait.clone(), "escrowed timeout"),
            ("mail-4xx", When::Mail, reply("451 4.3.0 later"), "escrowed temporary-reply"),
            ("mail-5xx", When::Mail, reply("550 5.7.1 not from you"), "bounced permanent-reply"),
            ("hang-mail", When::Mail, wait.clone(), "escrowed timeout"),
            ("rcpt-4xx", When::Rcpt(None), reply("450 4.2.1 greylisted"), "escrowed temporary-reply"),
            ("rcpt-5xx", When::Rcpt(None), reply("550 5.1.1 no such user"), "bounced permanent-reply"),
            ("hang-rcpt", When::Rcpt(None), wait.clone(), "escrowed timeout"),
            ("data-4xx", When::Data, reply("451 4.3.0 later"), "escrowed temporary-reply"),
            ("data-250", When::Data, reply("250 2.0.0 taken?"), "escrowed protocol-error"),
            ("hang-data", When::Data, wait.clone(), "escrowed timeout"),
            ("content-4xx", When::Content(None), reply("451 4.3.0 later"), "escrowed temporary-reply"),
            ("content-5xx", When::Content(None), reply("554 5.6.0 no"), "bounced permanent-reply"),
            // It may have arrived: the sender is told so, and nobody reads it twice.
            ("content-dropped", When::Content(None), Step::Drop, "bounced timeout"),
            ("hang-content", When::Content(None), wait, "bounced timeout"),
        ];
        for (name, when, step, want) in rows {
            let (domain, host) = self.zone(name, Nsec);
            let sink = self.dane_good_with_ca(&host).await;
            sink.set_offers(plain);
            sink.always(when, step);
            self.expect(&domain, want, SAME);
        }
        // The same with everything in one breath (RFC 3030).
        for (name, when, step, want) in [
            ("bdat-rcpt-4xx", When::Rcpt(None), reply("450 4.2.1 greylisted"), "escrowed temporary-reply"),
            ("bdat-rcpt-5xx", When::Rcpt(None), reply("550 5.1.1 no such user"), "bounced permanent-reply"),
            ("bdat-content-4xx", When::Content(None), reply("451 4.3.0 later"), "escrowed temporary-reply"),
            ("bdat-content-dropped", When::Content(None), Step::Drop, "bounced timeout"),
        ] {
            let (domain, host) = self.zone(name, Nsec);
            self.dane_good_with_ca(&host).await.always(when, step);
            self.expect(&domain, want, SAME);
        }
        let (domain, host) = self.zone("partial", Nsec);
        let sink = self.dane_good_with_ca(&host).await;
        sink.always(When::Rcpt(Some("bob@partial.example".into())), reply("550 5.1.1 no such user"));
        sink.always(When::Rcpt(Some("eve@partial.example".into())), reply("452 4.2.2 full"));
        self.expect(&domain, AUTHENTICATED, SAME);
        self.expect_for("bob@partial.example", "bounced permanent-reply", SAME);
        self.expect_for("eve@partial.example", "escrowed temporary-reply", SAME);
        let (domain, host) = self.zone("too-small", Nsec);
        self.dane_good_with_ca(&host).await.set_offers(Offers { size: Some(64), ..Offers::default() });
        self.expect(&domain, "escrowed size-exceeded", SAME);
        let (domain, host) = self.zone("unreachable", Nsec);
        let silent = self.world.silent_address().await.unwrap().to_string();
        self.set(&host, "A", &silent);
        self.expect(&domain, "escrowed connect-failed", BELOW);
    }
}

impl Animal {
    fn dane(&mut self, dane: Dane) -> &mut Animal {
        self.dane = Some(dane);
        self
    }

    fn is_alias_of(&mut self, host: &str) {
        self.alias = Some(std::mem::replace(&mut self.at, host.to_owned()));
    }
}

fn cut(mut record: Tlsa, length: usize) -> Tlsa {
    record.association.resize(length, 7);
    record
}

/// What a server answers that knows nothing newer than TLS 1.0 (RFC 2246, section 7.4.1.3).
fn tls_10_hello() -> Vec<u8> {
    let mut hello = vec![3, 1];
    hello.extend([7; 32]);
    hello.extend([0, 0xc0, 0x13, 0]);
    let mut handshake = vec![2, 0, 0, hello.len() as u8];
    handshake.extend(hello);
    let mut record = vec![22, 3, 1, 0, handshake.len() as u8];
    record.extend(handshake);
    record
}
