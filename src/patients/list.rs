//! The list itself: sorted hashes with the number of whom they belong to, and who shares a household.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::form::Field;
use super::table::Row;
use crate::mail::Timestamp;

/// A keyed hash of one value. The key is the vault's; 64 bits keep chance hits away from any list there is.
pub type Hasher = Arc<dyn Fn(Field, &str) -> u64 + Send + Sync>;

/// A phone, address or mailbox that more people share is a home, a shelter or a placeholder: it says nothing about one
/// person, and makes no household.
const SHARED_MAX: usize = 8;
/// A bare number, without a word that says what it is, counts only where chance hits it at most once in so many.
const CHANCE: u64 = 10_000;
const FORMAT: &[u8; 8] = b"wppat\0\0\x01";

/// Who is on the list, as hashes. Two flat blocks: twelve bytes a value.
pub struct Patients {
    hash: Hasher,
    pub imported_at: Timestamp,
    count: u32,
    /// How many patients have each field, in the order of [`Field::ALL`].
    having: [u32; 8],
    /// How many record and member numbers have so many digits.
    shapes: [u32; 25],
    hashes: Vec<u64>,
    owners: Vec<u32>,
    /// Patient and the number of what they share, sorted.
    links: Vec<(u32, u32)>,
}

impl fmt::Debug for Patients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Patients({})", self.count)
    }
}

/// The bytes are no list of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the list of patients is damaged or of another version; import it again")]
pub struct Damaged;

impl Patients {
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Fields with the number of patients that have them.
    pub fn having(&self) -> impl Iterator<Item = (Field, u32)> + '_ {
        Field::ALL.into_iter().zip(self.having)
    }

    /// Whose value this is.
    #[must_use]
    pub fn owners(&self, field: Field, form: &str) -> &[u32] {
        let hash = (self.hash)(field, form);
        let from = self.hashes.partition_point(|known| *known < hash);
        let to = from + self.hashes.get(from..).unwrap_or_default().iter().take_while(|known| **known == hash).count();
        self.owners.get(from..to).unwrap_or_default()
    }

    /// Whether a number so written speaks for itself: numbers of this length are so rarely taken that chance does not
    /// meet one.
    #[must_use]
    pub fn is_telling(&self, form: &str) -> bool {
        let digits = form.bytes().filter(u8::is_ascii_digit).count();
        let taken = u64::from(self.shapes.get(digits).copied().unwrap_or(u32::MAX));
        let possible = 10u64.checked_pow(u32::try_from(digits).unwrap_or(u32::MAX)).unwrap_or(u64::MAX);
        digits >= 6 && taken.saturating_mul(CHANCE) <= possible
    }

    /// Whether two patients share a phone, an address or a mailbox.
    #[must_use]
    pub fn are_one_household(&self, one: u32, other: u32) -> bool {
        let of = |patient: u32| {
            let from = self.links.partition_point(|(known, _)| *known < patient);
            self.links
                .get(from..)
                .unwrap_or_default()
                .iter()
                .take_while(move |(known, _)| *known == patient)
                .map(|(_, link)| *link)
        };
        one == other || of(one).any(|link| of(other).any(|same| same == link))
    }

    /// Bytes held in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.hashes.len() * 8 + self.owners.len() * 4 + self.links.len() * 8
    }

    /// For the sealed file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + self.memory_bytes());
        out.extend_from_slice(FORMAT);
        out.extend_from_slice(&self.imported_at.0.to_le_bytes());
        let mut number = |number: usize| out.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
        number(self.count as usize);
        self.having.iter().chain(&self.shapes).for_each(|count| number(*count as usize));
        number(self.hashes.len());
        number(self.links.len());
        self.hashes.iter().for_each(|hash| out.extend_from_slice(&hash.to_le_bytes()));
        self.owners.iter().for_each(|owner| out.extend_from_slice(&owner.to_le_bytes()));
        for (patient, link) in &self.links {
            out.extend_from_slice(&patient.to_le_bytes());
            out.extend_from_slice(&link.to_le_bytes());
        }
        out
    }

    /// # Errors
    /// [`Damaged`].
    pub fn from_bytes(bytes: &[u8], hash: Hasher) -> Result<Patients, Damaged> {
        let mut rest = bytes.strip_prefix(FORMAT).ok_or(Damaged)?;
        let imported_at = Timestamp(i64::from_le_bytes(take(&mut rest)?));
        let number = |rest: &mut &[u8]| take(rest).map(u32::from_le_bytes);
        let count = number(&mut rest)?;
        let (mut having, mut shapes) = ([0; 8], [0; 25]);
        for place in having.iter_mut().chain(&mut shapes) {
            *place = number(&mut rest)?;
        }
        let (hashes, links) = (number(&mut rest)? as usize, number(&mut rest)? as usize);
        if rest.len() != hashes * 12 + links * 8 {
            return Err(Damaged);
        }
        let hashes = (0..hashes).map(|_| take(&mut rest).map(u64::from_le_bytes)).collect::<Result<Vec<_>, _>>()?;
        let owners = (0..hashes.len()).map(|_| number(&mut rest)).collect::<Result<Vec<_>, _>>()?;
        let links = (0..links).map(|_| Ok((number(&mut rest)?, number(&mut rest)?))).collect::<Result<Vec<_>, _>>()?;
        if !hashes.is_sorted() || !links.is_sorted() || owners.iter().any(|owner| *owner >= count) {
            return Err(Damaged);
        }
        Ok(Patients { hash, imported_at, count, having, shapes, hashes, owners, links })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Damaged> {
    let (first, then) = rest.split_first_chunk::<N>().ok_or(Damaged)?;
    *rest = then;
    Ok(*first)
}

/// Takes rows and forgets them.
pub struct Builder {
    hash: Hasher,
    entries: Vec<(u64, u32)>,
    /// Values that a household shares.
    shared: Vec<(u64, u32)>,
    /// One person may have several lines: the same record number, or the same name and birth date.
    known: HashMap<u64, u32>,
    has: Vec<u8>,
    shapes: [u32; 25],
    /// Lines by which nobody could be recognised.
    pub too_little: usize,
}

impl Builder {
    #[must_use]
    pub fn new(hash: Hasher) -> Builder {
        Builder { hash, entries: vec![], shared: vec![], known: HashMap::new(), has: vec![], shapes: [0; 25], too_little: 0 }
    }

    pub fn add(&mut self, row: &Row) {
        let has_contact = !row.phones.is_empty() || !row.emails.is_empty() || row.address.is_some();
        let has_number = !row.mrns.is_empty() || !row.members.is_empty() || row.ssn.is_some();
        let is_enough = has_number
            || (!row.births.is_empty() && (!row.names.is_empty() || has_contact))
            || (!row.names.is_empty() && has_contact);
        if !is_enough {
            self.too_little += 1;
            return;
        }
        let hash = self.hash.clone();
        let mut keys: Vec<u64> = row.mrns.iter().map(|mrn| hash(Field::Mrn, mrn)).collect();
        for name in &row.names {
            keys.extend(row.births.iter().map(|birth| hash(Field::Birth, &format!("{name} {birth}"))));
        }
        let next = u32::try_from(self.has.len()).unwrap_or(u32::MAX);
        let patient = keys.iter().find_map(|key| self.known.get(key)).copied().unwrap_or(next);
        if patient == next {
            self.has.push(0);
        }
        for key in keys {
            self.known.entry(key).or_insert(patient);
        }
        let mut put = |field: Field, form: &str| {
            let hashed = hash(field, form);
            if matches!(field, Field::Phone | Field::Email | Field::Address) {
                self.shared.push((hashed, patient));
            } else {
                self.entries.push((hashed, patient));
            }
            if matches!(field, Field::Mrn | Field::Member | Field::Ssn) {
                let digits = form.bytes().filter(u8::is_ascii_digit).count();
                if let Some(count) = self.shapes.get_mut(digits) {
                    *count += 1;
                }
            }
            if let Some(has) = self.has.get_mut(patient as usize) {
                *has |= 1 << field as u8;
            }
        };
        row.names.iter().for_each(|form| put(Field::Name, form));
        row.births.iter().for_each(|form| put(Field::Birth, form));
        row.mrns.iter().for_each(|form| put(Field::Mrn, form));
        row.members.iter().for_each(|form| put(Field::Member, form));
        row.ssn.iter().for_each(|form| put(Field::Ssn, form));
        row.phones.iter().for_each(|form| put(Field::Phone, form));
        row.emails.iter().for_each(|form| put(Field::Email, form));
        row.address.iter().for_each(|form| put(Field::Address, form));
    }

    #[must_use]
    pub fn finish(mut self, imported_at: Timestamp) -> Patients {
        self.shared.sort_unstable();
        self.shared.dedup();
        let mut links = Vec::new();
        for (number, same) in (0u32..).zip(self.shared.chunk_by(|one, other| one.0 == other.0)) {
            if same.len() > SHARED_MAX {
                continue;
            }
            self.entries.extend_from_slice(same);
            if same.len() > 1 {
                links.extend(same.iter().map(|(_, patient)| (*patient, number)));
            }
        }
        self.entries.sort_unstable();
        self.entries.dedup();
        links.sort_unstable();
        let mut having = [0; 8];
        for (at, count) in having.iter_mut().enumerate() {
            *count = self.has.iter().filter(|has| **has & (1 << at) != 0).count().try_into().unwrap_or(u32::MAX);
        }
        Patients {
            hash: self.hash,
            imported_at,
            count: u32::try_from(self.has.len()).unwrap_or(u32::MAX),
            having,
            shapes: self.shapes,
            hashes: self.entries.iter().map(|(hash, _)| *hash).collect(),
            owners: self.entries.iter().map(|(_, owner)| *owner).collect(),
            links,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::table::read;
    use super::*;

    fn hasher() -> Hasher {
        use std::hash::{DefaultHasher, Hash, Hasher as _};
        Arc::new(|field, form| {
            let mut hasher = DefaultHasher::new();
            (field, form).hash(&mut hasher);
            hasher.finish()
        })
    }

    fn list(csv: &str) -> Patients {
        let mut builder = Builder::new(hasher());
        read(csv).unwrap().rows.iter().for_each(|row| builder.add(row));
        builder.finish(Timestamp(5))
    }

    #[test]
    fn a_list_survives_its_file_and_damage_is_seen() {
        let list =
            list("last,first,dob,phone\nQuintero,Marisol,1961-04-12,804-555-0142\nQuintero,Luis,1990-01-02,804-555-0142\n");
        let bytes = list.to_bytes();
        let again = Patients::from_bytes(&bytes, hasher()).unwrap();
        assert_eq!((again.count(), again.imported_at), (2, Timestamp(5)));
        assert_eq!(again.owners(Field::Name, "marisol quintero"), [0]);
        assert_eq!(again.owners(Field::Phone, "8045550142"), [0, 1]);
        assert!(again.are_one_household(0, 1));
        assert!(again.owners(Field::Name, "luis baker").is_empty());
        for end in 0..bytes.len() {
            assert!(Patients::from_bytes(&bytes[..end], hasher()).is_err());
        }
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        assert!(!text.contains("quintero") && !text.contains("0142"));
    }

    #[test]
    fn one_person_on_two_lines_is_one_person() {
        let list = list(
            "last,first,dob,mrn\nBaker,Anna,1961-04-12,0048291\nBaker,Anna,04/12/1961,99999\nBaker,A.,,48291\nBaker,Anna,1970-01-01,\n",
        );
        assert_eq!(list.count(), 2);
    }

    #[test]
    fn what_many_share_is_nobodys() {
        let list = list(
            &(10..30).fold("last,first,mrn,phone\n".to_owned(), |csv, n| csv + &format!("Baker,Anna,88{n}31,804-555-0100\n")),
        );
        assert_eq!(list.count(), 20);
        assert!(list.owners(Field::Phone, "8045550100").is_empty() && !list.are_one_household(0, 1));
    }

    #[test]
    fn a_short_or_crowded_number_does_not_speak_for_itself() {
        let sparse = list("mrn\n88001234\n");
        assert!(sparse.is_telling("88001234") && !sparse.is_telling("12345"));
        let crowded = list(&(100_000..101_000).fold("mrn\n".to_owned(), |csv, n| csv + &format!("{n}\n")));
        assert!(!crowded.is_telling("100500"));
    }
}
