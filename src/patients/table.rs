//! An export of the practice's program: what its columns are, by their names in English and Spanish, and its rows.

use super::form::{self, Order};

/// One line of the export, in the forms that are hashed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Every first name with every last name, see [`super::names`].
    pub names: Vec<String>,
    pub births: Vec<String>,
    pub mrns: Vec<String>,
    pub members: Vec<String>,
    pub ssn: Option<String>,
    pub phones: Vec<String>,
    pub emails: Vec<String>,
    pub address: Option<String>,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Table {
    pub rows: Vec<Row>,
    /// Header and meaning of each column that counts.
    pub columns: Vec<(String, &'static str)>,
    /// Headers that mean nothing here.
    pub ignored: Vec<String>,
}

/// What is wrong, and where. Repeats no value: it is somebody's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}{}: {what}", column.as_ref().map(|name| format!(", column `{name}`")).unwrap_or_default())]
pub struct Problem {
    pub line: usize,
    pub column: Option<String>,
    pub what: String,
}

/// Problems that are told at once.
const PROBLEMS_MAX: usize = 20;
/// Longest list: a state's largest practice groups are smaller.
const ROWS_MAX: usize = 5_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    First,
    Middle,
    Last,
    Full,
    Birth,
    Mrn,
    Member,
    Ssn,
    Phone,
    Email,
    Address,
}

impl Column {
    fn as_str(self) -> &'static str {
        match self {
            Column::First => "first name",
            Column::Middle => "middle name",
            Column::Last => "last name",
            Column::Full => "full name",
            Column::Birth => "birth date",
            Column::Mrn => "record number",
            Column::Member => "member id",
            Column::Ssn => "social security number",
            Column::Phone => "phone",
            Column::Email => "e-mail",
            Column::Address => "address",
        }
    }

    /// The header's letters and digits say what the column is.
    fn of(header: &str) -> Option<Column> {
        let plain: String = form::fold(header).chars().filter(char::is_ascii_alphanumeric).collect();
        if plain.is_empty() {
            return None;
        }
        let plain = plain.strip_prefix("patients").or_else(|| plain.strip_prefix("patient")).unwrap_or(&plain);
        let plain = plain.strip_suffix("delpaciente").or_else(|| plain.strip_suffix("paciente")).unwrap_or(plain);
        Some(match plain {
            "first" | "firstname" | "given" | "givenname" | "fname" | "forename" | "nombre" | "nombres" | "primernombre"
            | "nombredepila" => Column::First,
            "middle" | "middlename" | "mi" | "middleinitial" | "segundonombre" => Column::Middle,
            "last" | "lastname" | "surname" | "family" | "familyname" | "lname" | "apellido" | "apellidos" | "primerapellido"
            | "apellidopaterno" | "segundoapellido" | "apellidomaterno" => Column::Last,
            "" | "name" | "fullname" | "nombrecompleto" | "nombreyapellido" | "nombreyapellidos" | "apellidosynombre"
            | "apellidosynombres" | "lastfirst" | "lastnamefirstname" => Column::Full,
            "dob" | "birth" | "birthdate" | "dateofbirth" | "birthday" | "borndate" | "fechadenacimiento" | "fechanacimiento"
            | "fnac" | "fdenacimiento" | "nacimiento" | "fechanac" => Column::Birth,
            "mrn"
            | "medicalrecordnumber"
            | "medicalrecordno"
            | "medicalrecord"
            | "medrec"
            | "recordnumber"
            | "recordno"
            | "record"
            | "chart"
            | "chartnumber"
            | "chartno"
            | "chartid"
            | "id"
            | "pid"
            | "number"
            | "no"
            | "account"
            | "accountnumber"
            | "accountno"
            | "acct"
            | "historia"
            | "historiaclinica"
            | "nohistoria"
            | "numerodehistoria"
            | "numerohistoria"
            | "numerodehistoriaclinica"
            | "nhc"
            | "expediente"
            | "numerodeexpediente"
            | "numeroexpediente" => Column::Mrn,
            "member" | "memberid" | "membernumber" | "subscriber" | "subscriberid" | "insuranceid" | "insurancenumber"
            | "insuranceno" | "policy" | "policynumber" | "policyid" | "healthplanid" | "planid" | "mbi" | "medicare"
            | "medicareid" | "medicarenumber" | "medicaid" | "medicaidid" | "medicaidnumber" | "afiliado"
            | "numerodeafiliado" | "numerodemiembro" | "iddemiembro" | "poliza" | "numerodepoliza" => Column::Member,
            "ssn"
            | "ss"
            | "socialsecurity"
            | "socialsecuritynumber"
            | "socialsecurityno"
            | "segurosocial"
            | "numerodesegurosocial"
            | "nss" => Column::Ssn,
            "phone" | "phonenumber" | "phoneno" | "telephone" | "tel" | "homephone" | "phonehome" | "home" | "mobile"
            | "mobilephone" | "phonemobile" | "cell" | "cellphone" | "phonecell" | "telefono" | "telefonos" | "celular"
            | "movil" | "telefonomovil" | "telefonocelular" | "telefonocasa" | "numerodetelefono" => Column::Phone,
            "email" | "emailaddress" | "mail" | "emails" | "correo" | "correoelectronico" | "direcciondecorreo" => Column::Email,
            "address" | "street" | "streetaddress" | "address1" | "addressline1" | "homeaddress" | "addr" | "direccion"
            | "domicilio" | "calle" => Column::Address,
            _ => return None,
        })
    }
}

/// Reads an export: comma, semicolon or tab, the first line names the columns.
///
/// # Errors
/// All problems (up to 20) with line and column; one is enough for nothing to be taken.
pub fn read(text: &str) -> Result<Table, Vec<Problem>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let separator = separator(text);
    let mut lines = records(text, separator).map_err(|problem| vec![problem])?.into_iter();
    let Some((first_line, header)) = lines.next() else {
        return Err(vec![Problem { line: 1, column: None, what: "the file is empty; its first line names the columns".into() }]);
    };
    let columns: Vec<Option<Column>> = header.iter().map(|name| Column::of(name)).collect();
    let has = |wanted: Column| columns.contains(&Some(wanted));
    let has_name = has(Column::Full) || (has(Column::First) && has(Column::Last));
    if !has_name && !has(Column::Mrn) && !has(Column::Member) && !has(Column::Ssn) {
        let what = format!(
            "no column says who the patients are; the columns are called {}; expected for example `last`, `first`, `dob`, `mrn`, `member id`, `phone`, `email`",
            header.iter().map(|name| format!("`{}`", name.trim())).collect::<Vec<_>>().join(", ")
        );
        return Err(vec![Problem { line: first_line, column: None, what }]);
    }
    for once in [Column::Full, Column::First, Column::Birth, Column::Ssn] {
        let named: Vec<&String> =
            header.iter().zip(&columns).filter(|(_, column)| **column == Some(once)).map(|(name, _)| name).collect();
        if let [_, second, ..] = named[..] {
            let what = format!("a second column for {}; leave one of them out of the export", once.as_str());
            return Err(vec![Problem { line: first_line, column: Some(second.trim().to_owned()), what }]);
        }
    }
    let records: Vec<(usize, Vec<String>)> = lines.collect();
    if records.len() > ROWS_MAX {
        return Err(vec![Problem { line: ROWS_MAX, column: None, what: format!("more than {ROWS_MAX} lines") }]);
    }
    let order = order_of(&header, &columns, &records).map_err(|problem| vec![problem])?;
    let mut table = Table {
        columns: header
            .iter()
            .zip(&columns)
            .filter_map(|(name, column)| Some((name.trim().to_owned(), (*column)?.as_str())))
            .collect(),
        ignored: header
            .iter()
            .zip(&columns)
            .filter(|(name, column)| column.is_none() && !name.trim().is_empty())
            .map(|(name, _)| name.trim().to_owned())
            .collect(),
        ..Table::default()
    };
    let mut problems = Vec::new();
    for (line, cells) in &records {
        if problems.len() >= PROBLEMS_MAX {
            break;
        }
        if cells.len() != header.len() {
            let what = format!("{} cells, where the first line names {} columns", cells.len(), header.len());
            problems.push(Problem { line: *line, column: None, what });
            continue;
        }
        match row(*line, &header, &columns, cells, order) {
            Ok(row) => table.rows.push(row),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(table) } else { Err(problems) }
}

fn row(line: usize, header: &[String], columns: &[Option<Column>], cells: &[String], order: Order) -> Result<Row, Problem> {
    let mut row = Row::default();
    let (mut first, mut last, mut full) = (String::new(), String::new(), None);
    for ((cell, column), name) in cells.iter().zip(columns).zip(header) {
        let cell = cell.trim();
        let Some(column) = column else { continue };
        if is_nothing(cell) {
            continue;
        }
        let problem = |what: &str| Problem { line, column: Some(name.trim().to_owned()), what: what.to_owned() };
        match column {
            Column::First | Column::Middle => first = format!("{first} {cell}"),
            Column::Last => last = format!("{last} {cell}"),
            Column::Full => full = Some(cell),
            Column::Birth => {
                row.births = form::birth(cell, order);
                if row.births.is_empty() {
                    return Err(problem("this is no date; expected for example 1961-04-12, 04/12/1961 or 12 Apr 1961"));
                }
            }
            Column::Mrn => row.mrns.extend(form::number(cell)),
            Column::Member => row.members.extend(form::number(cell)),
            Column::Ssn => {
                let digits = cell.chars().filter(char::is_ascii_digit).count();
                if digits != 9 || cell.chars().any(char::is_alphabetic) {
                    return Err(problem("this is no social security number: nine digits are expected, or an empty cell"));
                }
                row.ssn = form::ssn(cell);
            }
            Column::Phone => row.phones.extend(cell.split([';', '/', '|']).filter_map(form::phone)),
            Column::Email => {
                for address in cell.split([';', ',', ' ']).filter(|address| !address.trim().is_empty()) {
                    row.emails.push(form::email(address).ok_or_else(|| problem("this is no e-mail address"))?);
                }
            }
            Column::Address => row.address = form::address(cell),
        }
    }
    if let Some(full) = full.filter(|_| first.trim().is_empty() || last.trim().is_empty()) {
        match full.split_once(',') {
            Some((family, given)) => (first, last) = (given.to_owned(), family.to_owned()),
            // Anna Marie Baker, María García López: what follows the first name may all be the last.
            None => {
                let (given, family) = full.trim().split_once(char::is_whitespace).unwrap_or((full, ""));
                (first, last) = (given.to_owned(), family.to_owned());
            }
        }
    }
    row.names = form::names(&first, &last);
    Ok(row)
}

/// What programs write where they know nothing.
fn is_nothing(cell: &str) -> bool {
    matches!(
        cell.to_ascii_lowercase().as_str(),
        "" | "-" | "--" | "n/a" | "na" | "none" | "null" | "nil" | "unknown" | "desconocido"
    )
}

/// Whether the month or the day comes first: one date that allows only one reading decides for its column.
fn order_of(header: &[String], columns: &[Option<Column>], records: &[(usize, Vec<String>)]) -> Result<Order, Problem> {
    let Some(at) = columns.iter().position(|column| *column == Some(Column::Birth)) else { return Ok(Order::Either) };
    let mut found: Option<(Order, usize)> = None;
    for (line, cells) in records {
        let Some(cell) = cells.get(at) else { continue };
        let by_month = form::birth(cell, Order::MonthFirst);
        let by_day = form::birth(cell, Order::DayFirst);
        let order = match (by_month.is_empty(), by_day.is_empty()) {
            (false, true) => Order::MonthFirst,
            (true, false) => Order::DayFirst,
            _ => continue,
        };
        match found {
            None => found = Some((order, *line)),
            Some((known, other)) if known != order => {
                return Err(Problem {
                    line: *line,
                    column: header.get(at).map(|name| name.trim().to_owned()),
                    what: format!(
                        "here the day and the month stand the other way round than in line {other}; export the dates as YYYY-MM-DD"
                    ),
                });
            }
            Some(_) => {}
        }
    }
    Ok(found.map_or(Order::Either, |(order, _)| order))
}

fn separator(text: &str) -> char {
    let first = text.lines().next().unwrap_or_default();
    [',', ';', '\t', '|'].into_iter().max_by_key(|c| (first.matches(*c).count(), *c == ',')).unwrap_or(',')
}

/// Lines with their cells (RFC 4180): quotes around a cell, doubled inside; empty lines are none.
fn records(text: &str, separator: char) -> Result<Vec<(usize, Vec<String>)>, Problem> {
    let mut out = Vec::new();
    let mut cells: Vec<String> = Vec::new();
    let mut cell = String::new();
    let (mut line, mut begun, mut quoted, mut was_quoted) = (1, 1, false, false);
    let mut chars = text.chars().peekable();
    let mut end = |cells: &mut Vec<String>, cell: &mut String, begun: usize| {
        cells.push(std::mem::take(cell));
        let full = std::mem::take(cells);
        if full.iter().any(|cell| !cell.trim().is_empty()) {
            out.push((begun, full));
        }
    };
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if cell.trim().is_empty() && !was_quoted => {
                cell.clear();
                quoted = true;
                was_quoted = true;
            }
            '\n' if quoted => {
                line += 1;
                cell.push('\n');
            }
            '\n' => {
                end(&mut cells, &mut cell, begun);
                was_quoted = false;
                line += 1;
                begun = line;
            }
            '\r' if !quoted => {}
            c if c == separator && !quoted => {
                cells.push(std::mem::take(&mut cell));
                was_quoted = false;
            }
            c => cell.push(c),
        }
    }
    if quoted {
        return Err(Problem { line: begun, column: None, what: "a quotation mark is opened here and never closed".into() });
    }
    end(&mut cells, &mut cell, begun);
    Ok(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_their_names_in_two_languages() {
        let english = "Last Name,First Name,DOB,MRN,Member ID,SSN,Home Phone,Cell,E-mail,Address,Room\n\
                       Quintero,Marisol,04/12/1961,00482913,XJK204859913,405-19-0261,(804) 555-0142,804-555-0143,m@q.example,12 Maple St,7\n";
        let spanish = "Apellidos;Nombre;Fecha de nacimiento;N.H.C.;N\u{fa}mero de afiliado;Seguro social;Tel\u{e9}fono;M\u{f3}vil;Correo electr\u{f3}nico;Direcci\u{f3}n;Sala\n\
                       QUINTERO;Marisol;1961-04-12;482913;XJK-204859913;405190261;8045550142;+1 804 555 0143;M@Q.example;\"12, Maple\";7\n";
        let (english, spanish) = (read(english).unwrap(), read(spanish).unwrap());
        assert_eq!(
            english.rows,
            spanish
                .rows
                .iter()
                .cloned()
                .map(|mut row| {
                    row.births = english.rows[0].births.clone();
                    row
                })
                .collect::<Vec<_>>()
        );
        assert!(spanish.rows[0].births.contains(&"19610412".to_owned()));
        assert_eq!((english.ignored, spanish.ignored), (vec!["Room".to_owned()], vec!["Sala".to_owned()]));
        let full = read("Patient Name\tDate of Birth\n\"Quintero, Marisol\"\t12 Apr 1961\nMarisol Quintero\t4/13/61\n").unwrap();
        assert_eq!(full.rows[0].names, full.rows[1].names);
    }

    #[test]
    fn a_problem_names_line_and_column_and_no_value() {
        let check = |text: &str, line: usize, column: Option<&str>, part: &str| {
            let problems = read(text).expect_err(text);
            let problem = &problems[0];
            assert_eq!((problem.line, problem.column.as_deref()), (line, column), "{problem}");
            assert!(problem.to_string().contains(part), "{problem}");
            assert!(!problem.to_string().contains("Quintero"), "{problem}");
        };
        check("", 1, None, "empty");
        check("colour,size\nred,1\n", 1, None, "`colour`, `size`");
        check("last,first,dob\nQuintero,Marisol,1961-04-12\n\nQuintero,Ana,soon\n", 4, Some("dob"), "no date");
        check("last,first,ssn\nQuintero,Marisol,40519\n", 2, Some("ssn"), "nine digits");
        check("last,first,email\nQuintero,Marisol,nowhere\n", 2, Some("email"), "no e-mail address");
        check("last,first,dob\nQuintero,Marisol\n", 2, None, "2 cells");
        check("last,first,dob\nA Quintero,Ana,13/1/1961\nQuintero,B,1/13/1961\n", 3, Some("dob"), "line 2");
        check("last,first,dob,birthday\nQuintero,Marisol,,\n", 1, Some("birthday"), "second column");
        check("last,first\n\"Quintero,Marisol\n", 2, None, "never closed");
        assert_eq!(read(&format!("last,first,dob\n{}", "Quintero,Ana,soon\n".repeat(100))).unwrap_err().len(), PROBLEMS_MAX);
    }
}
