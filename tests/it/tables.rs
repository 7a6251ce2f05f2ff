//! Every table that scripts choose from by name: its rows are well formed, and no table is forgotten here.

use std::collections::BTreeSet;

use fewlab::table::Row;

use super::layers::rust_files;

/// Whether the rows of a table must say which paper they are from.
#[derive(Clone, Copy, PartialEq)]
enum Paper {
    Cited,
    Free,
}

/// What is wrong with the rows of a table.
fn faults<R: Row>(rows: &[R], paper: Paper) -> Vec<String> {
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for row in rows {
        let (name, summary, doc) = (row.name(), row.summary(), row.doc());
        let mut fault = |what: &str| faults.push(format!("{} `{name}` {what}", R::KIND));
        if !seen.insert(name) {
            fault("is there twice");
        }
        if name.is_empty()
            || !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-')
        {
            fault("is not in lower case");
        }
        if !summary.ends_with('.') || !summary.starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit() || c == '`')
        {
            fault("has a summary that is no sentence");
        }
        if paper == Paper::Cited && !(doc.contains("arXiv:") || doc.contains("doi:")) {
            fault("cites no paper");
        }
    }
    if rows.is_empty() {
        faults.push(format!("there is no {}", R::KIND));
    }
    faults
}

/// Walks every table; a new one is added here.
fn walk() -> (Vec<&'static str>, Vec<String>) {
    let mut walked = Vec::new();
    let mut found = Vec::new();
    macro_rules! walk {
        ($($type:ident: $rows:path, $paper:expr;)*) => {
            $( walked.push(stringify!($type)); found.extend(faults($rows, $paper)); )*
        };
    }
    walk! {
        Source: fewlab::data::SOURCES, Paper::Free;
        EncoderRow: fewlab::nn::ENCODERS, Paper::Cited;
        NormRow: fewlab::nn::NORMS, Paper::Free;
        OptimiserRow: fewlab::nn::OPTIMISERS, Paper::Free;
        Task: fewlab::ssl::TASKS, Paper::Cited;
        LabellerRow: fewlab::label::LABELLERS, Paper::Free;
        Architecture: fewlab::gan::ARCHITECTURES, Paper::Cited;
        CompatRow: fewlab::gan::COMPATS, Paper::Free;
        Loss: fewlab::gan::LOSSES, Paper::Cited;
        Penalty: fewlab::gan::PENALTIES, Paper::Free;
        Method: fewlab::gan::METHODS, Paper::Cited;
        Preset: fewlab::gan::PRESETS, Paper::Cited;
        Metric: fewlab::metric::METRICS, Paper::Cited;
        ExtractorRow: fewlab::metric::EXTRACTORS, Paper::Cited;
        Magic: fewlab::notebook::magic::MAGICS, Paper::Free;
    }
    (walked, found)
}

#[test]
fn every_row_is_well_formed() {
    let (_, faults) = walk();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// `help("metric::evaluate")` is where a person looks for what can be measured.
#[test]
fn the_manual_of_an_evaluation_names_every_metric() {
    let source = std::fs::read_to_string("src/script/bind/metric.rs").unwrap();
    let manual: String = source.lines().filter(|line| line.trim_start().starts_with("///")).collect();
    for metric in fewlab::metric::METRICS {
        assert!(manual.contains(&format!("`{}`", metric.name())), "`{}` is missing", metric.name());
    }
}

#[test]
fn no_table_is_forgotten() {
    let (walked, _) = walk();
    let sources = rust_files(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let mut tables = Vec::new();
    for path in sources {
        let text = std::fs::read_to_string(path).unwrap();
        let rows =
            text.lines().filter_map(|line| line.strip_prefix("impl ")?.split_once("Row for ")).map(|(_, rest)| rest);
        tables.extend(rows.filter_map(|rest| rest.split([' ', '<', '{']).next()).map(String::from));
    }
    assert!(!tables.is_empty());
    for table in tables {
        assert!(walked.contains(&table.as_str()), "the rows of `{table}` are not walked");
    }
}

struct Planted(&'static str, &'static str);

impl Row for Planted {
    const KIND: &'static str = "plant";
    fn name(&self) -> &'static str {
        self.0
    }
    fn doc(&self) -> &'static str {
        self.1
    }
}

#[test]
fn a_row_that_is_not_well_formed_is_found() {
    let good = Planted("hinge", "Penalises margins.\n\nLim & Ye 2017, arXiv:1705.02894.");
    let faults_of =
        |row| faults(&[Planted("hinge", "Penalises margins.\n\nLim & Ye 2017, arXiv:1705.02894."), row], Paper::Cited);
    assert_eq!(faults(&[good], Paper::Cited), Vec::<String>::new());
    assert_eq!(
        faults_of(Planted("hinge", "Again. \n\narXiv:1")),
        ["plant `hinge` is there twice", "plant `hinge` has a summary that is no sentence"]
    );
    assert_eq!(faults_of(Planted("Wide", "A loss.\n\narXiv:1")), ["plant `Wide` is not in lower case"]);
    assert_eq!(faults_of(Planted("least", "A loss.")), ["plant `least` cites no paper"]);
    assert_eq!(faults::<Planted>(&[], Paper::Free), ["there is no plant"]);
}
