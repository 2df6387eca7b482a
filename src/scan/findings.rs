use std::ops::Range;

use crate::extract::{Image, Unreadable};

/// What a finding says about the person or the care; fixed names, so that rules and metrics can use them.
macro_rules! kinds {
    ($($kind:ident $name:literal $leg:ident),* $(,)?) => {
        /// What was found.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Kind { $($kind),* }

        impl Kind {
            /// Every kind, in the order of the enum.
            pub const ALL: &[Kind] = &[$(Kind::$kind),*];

            /// The name in rules, records and the output of `scan`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Kind::$kind => $name),* }
            }

            /// Which half of "a person and their health" the kind speaks for.
            #[must_use]
            pub fn leg(self) -> Leg {
                match self { $(Kind::$kind => Leg::$leg),* }
            }
        }
    };
}

kinds! {
    Name "name" Identifier,
    OwnPatient "own_patient" Identifier,
    Provider "provider" Provider,
    Dob "dob" Identifier,
    Date "date" Other,
    Phone "phone" Identifier,
    Fax "fax" Identifier,
    Email "email" Identifier,
    Address "address" Identifier,
    Ssn "ssn" Identifier,
    Mrn "mrn" Identifier,
    Mbi "mbi" Identifier,
    HealthPlan "health_plan" Identifier,
    Medicaid "medicaid" Identifier,
    Account "account" Identifier,
    License "license" Identifier,
    Vin "vin" Identifier,
    Device "device" Identifier,
    Url "url" Other,
    Ip "ip" Other,
    CreditCard "credit_card" Payment,
    Iban "iban" Payment,
    Routing "routing" Payment,
    Npi "npi" Provider,
    Dea "dea" Provider,
    Diagnosis "diagnosis" Health,
    Symptom "symptom" Health,
    Icd10 "icd10" Health,
    Icd9 "icd9" Health,
    Pcs "icd10_pcs" Health,
    Procedure "procedure" Health,
    Cpt "cpt" Health,
    Hcpcs "hcpcs" Health,
    Medication "medication" Health,
    Ndc "ndc" Health,
    Lab "lab" Health,
    LabValue "lab_value" Health,
    Loinc "loinc" Health,
    Amount "amount" Payment,
    Insurer "insurer" Payment,
    Specialty "specialty" Other,
}

/// The halves that make protected health information together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Leg {
    /// Says who somebody is.
    Identifier,
    /// Says something about health or care.
    Health,
    /// Says something about payment.
    Payment,
    /// Says who the provider of care is: no patient.
    Provider,
    Other,
}

/// One place in one text. Holds no text itself: the span points into `Extracted::texts[text].content`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub kind: Kind,
    pub text: usize,
    pub span: Range<usize>,
    /// 0 to 100: how sure the kind is.
    pub score: u8,
    /// The same words were found before: counted once, however often a letter repeats them.
    pub is_repeated: bool,
}

/// Why a person and a health statement were taken to belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Named as the patient, member or insured.
    PatientLabel,
    /// On the practice's own list of patients.
    OwnPatient,
    /// A name with birth date, record number or the like beside it.
    NameWithIdentifier,
    /// A record or insurance number without a name.
    RecordNumber,
    /// A name that is no provider's, sender's or colleague's.
    PersonNamed,
    /// The reader is spoken to by name.
    ReaderByName,
    /// The reader is the one in the To field.
    ReaderByAddress,
    /// The writer speaks of their own health.
    WriterAboutSelf,
    /// A diagnosis, symptom or procedure term.
    HealthTerm,
    /// A code of a diagnosis or procedure, a labelled field, a dose or a measured value.
    ClinicalFact,
    /// Words of care such as appointment, refill or claim.
    CareWords,
    /// Payment for care.
    PaymentForCare,
    SameRecord,
    SameSentence,
    Nearby,
    SameText,
    OtherText,
}

impl Reason {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::PatientLabel => "patient-label",
            Reason::OwnPatient => "own-patient",
            Reason::NameWithIdentifier => "name-with-identifier",
            Reason::RecordNumber => "record-number",
            Reason::PersonNamed => "person-named",
            Reason::ReaderByName => "reader-by-name",
            Reason::ReaderByAddress => "reader-by-address",
            Reason::WriterAboutSelf => "writer-about-self",
            Reason::HealthTerm => "health-term",
            Reason::ClinicalFact => "clinical-fact",
            Reason::CareWords => "care-words",
            Reason::PaymentForCare => "payment-for-care",
            Reason::SameRecord => "same-record",
            Reason::SameSentence => "same-sentence",
            Reason::Nearby => "nearby",
            Reason::SameText => "same-text",
            Reason::OtherText => "other-text",
        }
    }
}

/// A person and a statement on health that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Combination {
    pub score: u32,
    pub reasons: Vec<Reason>,
}

/// A person of the practice's own list, recognised in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPatient {
    /// Number on the list; says nothing outside of it.
    pub number: u32,
    pub by: RecognisedBy,
    pub text: usize,
    pub span: Range<usize>,
}

/// What a patient of the own list was recognised by. A name alone is never enough: others bear it, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecognisedBy {
    /// Birth date with phone, e-mail or address.
    BirthAndContact,
    /// Name with phone, e-mail, address or an unmarked number.
    NameAndContact,
    NameAndBirth,
    /// A record, member or social security number.
    Number,
}

impl RecognisedBy {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RecognisedBy::BirthAndContact => "birth-date-and-contact",
            RecognisedBy::NameAndContact => "name-and-contact",
            RecognisedBy::NameAndBirth => "name-and-birth-date",
            RecognisedBy::Number => "number",
        }
    }

    pub(super) fn score(self) -> u8 {
        match self {
            RecognisedBy::BirthAndContact => 85,
            RecognisedBy::NameAndContact => 92,
            RecognisedBy::Number => 95,
            RecognisedBy::NameAndBirth => 99,
        }
    }
}

/// What a message shows. Holds kinds, places and scores, never text.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    pub hits: Vec<Finding>,
    /// The best combination, if it is enough.
    pub phi: Option<Combination>,
    /// The best combination, enough or not.
    pub nearest: Option<Combination>,
    /// Patients of the own list, each once in a text.
    pub patients: Vec<OwnPatient>,
    pub unreadable: Vec<Unreadable>,
    pub images: Vec<Image>,
    pub limits_exceeded: bool,
}

impl Findings {
    #[must_use]
    pub fn has(&self, kind: Kind) -> bool {
        self.hits.iter().any(|hit| hit.kind == kind)
    }

    #[must_use]
    pub fn has_leg(&self, leg: Leg) -> bool {
        self.hits.iter().any(|hit| hit.kind.leg() == leg)
    }
}
