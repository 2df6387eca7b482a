use std::net::SocketAddr;
use std::time::Duration;

use hickory_resolver::net::client::Client;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::tcp::TcpClientStream;
use hickory_resolver::net::xfer::FirstAnswer;
use hickory_resolver::net::{DnsHandle, NetError};
use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::dnssec::rdata::DNSSECRData;
use hickory_resolver::proto::op::{DnsRequestOptions, DnsResponse, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::task::JoinSet;

use super::Error;
use super::dns::{Answer, Found, found};

/// A validating resolver on this machine whose AD bit is believed where our own validator is known to be too strict:
/// answers out of a wildcard, and answers with aliases, whose denials it cannot follow.
///
/// It may only turn "bogus" into "secure and present". What it calls absent, insecure or nonexistent counts for
/// nothing, and an answer of any other shape neither.
pub(super) struct Second {
    address: SocketAddr,
    limit: Duration,
}

impl Second {
    /// # Errors
    /// Anywhere but on loopback the AD bit can be set by whoever is on the path.
    pub fn new(address: SocketAddr, limit: Duration) -> Result<Second, Error> {
        if address.ip().is_loopback() { Ok(Second { address, limit }) } else { Err(Error::SecondSourceNotLoopback { address }) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Records that it proved; `None` for every other answer.
    pub async fn ask(&self, name: &Name, kind: RecordType) -> Option<Found> {
        let response = self.send(name, kind).await.ok()?;
        if response.response_code != ResponseCode::NoError
            || !response.metadata.authentic_data
            || !is_known_gap(&response.answers)
        {
            return None;
        }
        let mut proven = response.answers.clone();
        proven.iter_mut().for_each(|record| record.proof = Proof::Secure);
        match found(name, kind, &proven) {
            Answer::Found(found) => Some(found),
            Answer::None { .. } | Answer::Unknown(_) => None,
        }
    }

    /// Whether it says that it validated the answer, and whether it fails to answer at all; for the self-test.
    pub async fn validates(&self, name: &Name, kind: RecordType) -> Result<bool, NetError> {
        let response = self.send(name, kind).await?;
        Ok(response.response_code == ResponseCode::NoError && response.metadata.authentic_data)
    }

    /// By TCP, so that nothing is ever cut off.
    async fn send(&self, name: &Name, kind: RecordType) -> Result<DnsResponse, NetError> {
        let (stream, sender) = TcpClientStream::new(self.address, None, Some(self.limit), TokioRuntimeProvider::default());
        let (client, background) = Client::<TokioRuntimeProvider>::with_timeout(stream.await?, sender, self.limit);
        // Ends with this function.
        let mut exchange = JoinSet::new();
        exchange.spawn(background);
        let mut options = DnsRequestOptions::default();
        options.use_edns = true;
        options.edns_set_dnssec_ok = true;
        options.recursion_desired = true;
        client.lookup(Query::query(name.clone(), kind), options).first_answer().await
    }
}

/// Whether an answer is one that our validator is known to misjudge.
fn is_known_gap(answers: &[Record]) -> bool {
    answers.iter().any(|record| match &record.data {
        RData::CNAME(_) => true,
        RData::DNSSEC(DNSSECRData::RRSIG(signature)) => signature.input().num_labels < record.name.num_labels(),
        _ => false,
    })
}
