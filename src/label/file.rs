//! Labels in files, so that labels made elsewhere can be used here, and ours elsewhere.
//!
//! A file is comma-separated text, or Parquet if its name ends in `.parquet`. Its first line (the names of its columns) is `index,label`, or `index` and the names of all classes; each line after
//! it is about one image, counted from 0 in the order of the data set. A label is the name of a class or its number; nothing,
//! or -1, is no label. Below the names of classes stand probabilities or logits.

use std::fmt::Write as _;
use std::path::Path;

use super::parquet;
use crate::data::{Labelled, PartlyLabelled};
use crate::error::{Error, Result};

crate::options! {
    /// Options of `label::load`.
    pub struct LoadOptions("label::load") {
        /// What stands below the names of classes: `probs`, which sum to 1, or `logits`, whose softmax is taken.
        pub values: String = "probs".into(),
        /// Take the numbers for those of clusters, which are not the classes of the data set.
        pub clusters: bool = false,
    }
}

crate::options! {
    /// Options of `save` of labels.
    pub struct SaveOptions("labelled.save") {
        /// Write how likely each class is, in place of the likeliest one.
        pub soft: bool = false,
    }
}

/// Writes the labels of all images to a file, Parquet if its name ends so.
///
/// # Errors
/// Soft labels are asked for and there are none; the file cannot be written.
pub fn save(labelled: &Labelled, path: &Path, options: &SaveOptions) -> Result<()> {
    let probs = match options.soft {
        false => None,
        true => Some(labelled.probs().ok_or_else(|| {
            Error::new(format!("the labels of `{}` come without probabilities", labelled.name()))
                .help("leave `soft` out: the labels themselves are written")
        })?),
    };
    // The name, since numbers depend on the order of the classes; clusters have numbers only.
    let label = |place: u32| match labelled.clustered() {
        true => place.to_string(),
        false => labelled.classes()[place as usize].clone(),
    };
    let bytes = match is_parquet(path) {
        true => parquet::write(labelled, &label, probs)?,
        false => text(labelled, &label, probs).into_bytes(),
    };
    std::fs::write(path, bytes).map_err(|error| Error::new(format!("cannot write `{}`: {error}", path.display())))
}

fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"))
}

fn text(labelled: &Labelled, label: &dyn Fn(u32) -> String, probs: Option<&[f32]>) -> String {
    let mut text = String::from("index");
    if let Some(probs) = probs {
        labelled.classes().iter().for_each(|class| text.extend([",", &quoted(class)]));
        for (index, row) in probs.chunks_exact(labelled.classes().len()).enumerate() {
            let _ = write!(text, "\n{index}");
            row.iter().for_each(|p| {
                let _ = write!(text, ",{p}");
            });
        }
    } else {
        text.push_str(",label");
        for (index, place) in labelled.labels().iter().enumerate() {
            let _ = write!(text, "\n{index},{}", place.map_or_else(String::new, |place| quoted(&label(place))));
        }
    }
    text.push('\n');
    text
}

/// Reads labels for the images of `data`. Labels that are kept stay as they are, unless the file is of clusters.
///
/// # Errors
/// The file cannot be read, or a line of it does not fit the data; the message names the line.
pub fn load(path: &Path, data: &PartlyLabelled, options: &LoadOptions) -> Result<Labelled> {
    if !["probs", "logits"].contains(&options.values.as_str()) {
        return Err(crate::table::unknown("kind of values", &options.values, ["probs", "logits"]));
    }
    let name = path.display().to_string();
    if is_parquet(path) {
        let rows = parquet::Rows::open(path)?;
        let head = rows.head.clone();
        let file = File { name, place: ", row ", data };
        return file.read(head, rows.enumerate().map(|(row, fields)| Ok((row + 1, fields?))), options);
    }
    let text = std::fs::read_to_string(path).map_err(|error| Error::new(format!("cannot read `{name}`: {error}")))?;
    let file = File { name, place: ":", data };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut lines = text.lines().enumerate().map(|(i, line)| (i + 1, line)).filter(|(_, line)| !line.trim().is_empty());
    let head = match lines.next() {
        Some((number, line)) => file.fields(number, line)?,
        None => return Err(Error::new(format!("`{}` is empty", file.name)).help(HEAD)),
    };
    file.read(head, lines.map(|(number, line)| Ok((number, file.fields(number, line)?))), options)
}

const HEAD: &str = "its first line must be `index,label`, or `index` and the names of all classes";

struct File<'a> {
    name: String,
    /// What stands between the name and the number of a line or row.
    place: &'static str,
    data: &'a PartlyLabelled,
}

/// A line or row of a file by its number.
type Line = Result<(usize, Vec<String>)>;

impl File<'_> {
    fn bad(&self, line: usize, what: &str) -> Error {
        Error::new(format!("{}{}{line}: {what}", self.name, self.place))
    }

    fn read(&self, head: Vec<String>, lines: impl Iterator<Item = Line>, options: &LoadOptions) -> Result<Labelled> {
        let hard = head.len() == 2 && head[0] == "index" && head[1] == "label";
        if hard && options.values != "probs" {
            return Err(Error::new(format!("`values` would do nothing: `{}` holds labels", self.name))
                .help("leave it out; it is for files with a column for each class"));
        }
        if hard {
            return self.hard(lines, options.clusters);
        }
        if options.clusters {
            return Err(self.bad(1, "clusters are numbers below `label`, and this file has other columns").help(HEAD));
        }
        let classes = self.data.classes();
        if head.first().map(String::as_str) != Some("index") || head[1..] != *classes {
            let classes = classes.iter().map(|class| quoted(class)).collect::<Vec<_>>().join(",");
            return Err(self
                .bad(1, &format!("the columns are `{}`", head.join(",")))
                .help(format!("they must be `index,label` or `index,{classes}`")));
        }
        self.soft(lines, options.values == "logits")
    }

    fn hard(&self, lines: impl Iterator<Item = Line>, clusters: bool) -> Result<Labelled> {
        let classes = self.data.classes();
        let mut labels = vec![None; self.data.n()];
        let mut seen = vec![None; self.data.n()];
        for line in lines {
            let (number, fields) = line?;
            let [index, label] = fields.as_slice() else {
                return Err(
                    self.bad(number, &format!("there are {} values, expected an index and a label", fields.len()))
                );
            };
            let index = self.index(number, index, &mut seen)?;
            let label = label.trim();
            labels[index] = match label {
                "" | "-1" => None,
                _ if clusters => Some(
                    label
                        .parse()
                        .ok()
                        .filter(|cluster: &u32| (*cluster as usize) < self.data.n())
                        .ok_or_else(|| self.bad(number, &format!("`{label}` is no number of a cluster")))?,
                ),
                name => {
                    let place = classes.iter().position(|class| class == name);
                    let place = place.or_else(|| name.parse().ok().filter(|place| *place < classes.len()));
                    let place = place.ok_or_else(|| {
                        let unknown = crate::table::unknown("class", name, classes.iter().map(String::as_str));
                        let error = self.bad(number, &unknown.message);
                        unknown.help.into_iter().fold(error, |error, help| error.help(help))
                    })?;
                    Some(place as u32)
                }
            };
        }
        if clusters {
            let k = labels.iter().flatten().max().map_or(0, |most| *most as usize + 1);
            return Labelled::clusters(self.data, labels, k);
        }
        Labelled::from_labels(self.data, labels)
    }

    fn soft(&self, lines: impl Iterator<Item = Line>, logits: bool) -> Result<Labelled> {
        let classes = self.data.classes().len();
        let mut probs = vec![0.0f32; self.data.n() * classes];
        let mut seen = vec![None; self.data.n()];
        for line in lines {
            let (number, fields) = line?;
            if fields.len() != classes + 1 {
                let what = format!("there are {} values, expected an index and {classes} numbers", fields.len());
                return Err(self.bad(number, &what));
            }
            let index = self.index(number, &fields[0], &mut seen)?;
            let row = fields[1..].iter().map(|field| {
                let value = field.trim().parse::<f64>().ok().filter(|value| value.is_finite());
                value.ok_or_else(|| self.bad(number, &format!("`{field}` is no finite number")))
            });
            let mut row = row.collect::<Result<Vec<f64>>>()?;
            if logits {
                let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                row.iter_mut().for_each(|value| *value = (*value - most).exp());
                let sum: f64 = row.iter().sum();
                row.iter_mut().for_each(|value| *value /= sum);
            }
            let sum: f64 = row.iter().sum();
            if (sum - 1.0).abs() > 1e-3 || row.iter().any(|p| *p < 0.0) {
                return Err(self
                    .bad(number, &format!("the probabilities sum to {sum}, or one is below 0; they must sum to 1"))
                    .help("if they are logits, say `values: \"logits\"`"));
            }
            probs[index * classes..][..classes].iter_mut().zip(row).for_each(|(p, value)| *p = value as f32);
        }
        if let Some(missing) = seen.iter().position(Option::is_none) {
            return Err(Error::new(format!("`{}` has no line for image {missing}", self.name))
                .help("probabilities are needed for every image"));
        }
        Labelled::from_probs(self.data, &probs, 0.0)
    }

    /// The image that a line is about; each image has one line.
    fn index(&self, number: usize, field: &str, seen: &mut [Option<usize>]) -> Result<usize> {
        let index: usize = field.trim().parse().map_err(|_| {
            self.bad(number, &format!("`{field}` is no index of an image")).help("images are counted from 0")
        })?;
        let n = seen.len();
        let Some(place) = seen.get_mut(index) else {
            return Err(self
                .bad(number, &format!("there is no image {index}"))
                .help(format!("`{}` has {n} images, counted from 0", self.data.name())));
        };
        match place.replace(number) {
            Some(first) => Err(self.bad(number, &format!("image {index} has a line already, line {first}"))),
            None => Ok(index),
        }
    }

    /// The values of a line; one in double quotes may hold commas, and a quote written twice.
    fn fields(&self, number: usize, line: &str) -> Result<Vec<String>> {
        let mut out = Vec::new();
        let mut rest = line;
        loop {
            let (field, after) = match rest.strip_prefix('"') {
                None => {
                    let end = rest.find(',').unwrap_or(rest.len());
                    (rest[..end].to_string(), &rest[end..])
                }
                Some(inside) => {
                    let mut field = String::new();
                    let mut inside = inside;
                    loop {
                        let end = inside
                            .find('"')
                            .ok_or_else(|| self.bad(number, "a value opens with a quote that does not close"))?;
                        field.push_str(&inside[..end]);
                        inside = &inside[end + 1..];
                        match inside.strip_prefix('"') {
                            Some(after) => {
                                field.push('"');
                                inside = after;
                            }
                            None => break (field, inside),
                        }
                    }
                }
            };
            out.push(field);
            match after.strip_prefix(',') {
                Some(next) => rest = next,
                None if after.is_empty() => return Ok(out),
                None => return Err(self.bad(number, "a quoted value is not followed by a comma")),
            }
        }
    }
}

fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, Images, Shape, Truth};

    /// Four images of two classes, one of which has a comma and a quote in its name; the label of the first is kept.
    fn four() -> PartlyLabelled {
        four_of(["bag", "a \"hat\", red"])
    }

    fn four_of(classes: [&str; 2]) -> PartlyLabelled {
        let images = Images::new(Shape { channels: 1, height: 1, width: 1 }, vec![1, 2, 3, 4]).unwrap();
        let truth = Truth::new(vec![0, 1, 0, 1], classes.map(String::from).to_vec()).unwrap();
        let data = Dataset::new("four", images, Some(truth), "a test").unwrap();
        let budget = crate::data::LabelBudget { share: 0.2, seed: 1, indices: vec![0], images: data.hash().into() };
        data.with_budget(&budget).unwrap()
    }

    fn read(text: &str, options: &LoadOptions) -> Result<Labelled> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.csv");
        std::fs::write(&path, text).unwrap();
        let shown = path.display().to_string();
        load(&path, &four(), options).map_err(|error| {
            let short = Error::new(error.message.replace(&shown, "labels.csv"));
            error.help.into_iter().fold(short, |short, help| short.help(help))
        })
    }

    fn plain(text: &str) -> Result<Labelled> {
        read(text, &LoadOptions::default())
    }

    #[test]
    fn names_numbers_and_gaps_are_read_and_kept_labels_stand_above_them() {
        let labelled = plain("index,label\n3,\"a \"\"hat\"\", red\"\n1,0\n2,-1\n0,1\n").unwrap();
        assert_eq!(labelled.labels(), [Some(0), Some(0), None, Some(1)]);
        assert_eq!(labelled.confidence(), [1.0, 1.0, 0.0, 1.0]);
        // Images without a line have no label, save the kept one.
        assert_eq!(plain("index,label\r\n1,bag\r\n").unwrap().labels(), [Some(0), Some(0), None, None]);
    }

    #[test]
    fn probabilities_and_logits_are_read() {
        let rows = "index,bag,\"a \"\"hat\"\", red\"\n0,0.5,0.5\n1,0.25,0.75\n2,1,0\n3,0.9,0.1\n";
        let labelled = plain(rows).unwrap();
        assert_eq!(labelled.labels(), [Some(0), Some(1), Some(0), Some(0)]);
        assert_eq!(labelled.probs().unwrap()[..4], [1.0, 0.0, 0.25, 0.75]);
        let logits = LoadOptions { values: "logits".into(), ..LoadOptions::default() };
        let labelled = read(&rows.replace("0.25,0.75", "1000,999"), &logits).unwrap();
        assert!((labelled.probs().unwrap()[2] - 1.0 / (1.0 + (-1f32).exp())).abs() < 1e-6);
        let error = plain(&rows.replace("0.25,0.75", "2.5,-1")).unwrap_err();
        assert!(error.message.starts_with("labels.csv:3: the probabilities sum to 1.5"), "{error}");
        assert!(error.help.unwrap().contains("values: \"logits\""));
    }

    #[test]
    fn clusters_are_read_as_numbers_of_their_own() {
        let clusters = LoadOptions { clusters: true, ..LoadOptions::default() };
        let labelled = read("index,label\n0,2\n1,0\n2,2\n3,\n", &clusters).unwrap();
        assert_eq!(labelled.labels(), [Some(2), Some(0), Some(2), None]);
        assert_eq!(labelled.classes(), ["cluster 0", "cluster 1", "cluster 2"]);
    }

    #[test]
    fn what_was_saved_is_read_again() {
        what_was_saved_in("labels.csv");
        what_was_saved_in("labels.parquet");
    }

    fn what_was_saved_in(name: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        let probs = [0.5, 0.5, 0.125, 0.875, 0.3, 0.7, 0.1, 0.9];
        let first = Labelled::from_probs(&four(), &probs, 0.8).unwrap();
        save(&first, &path, &SaveOptions::default()).unwrap();
        assert_eq!(load(&path, &four(), &LoadOptions::default()).unwrap().labels(), first.labels());
        save(&first, &path, &SaveOptions { soft: true }).unwrap();
        assert_eq!(load(&path, &four(), &LoadOptions::default()).unwrap().probs(), first.probs());
        let clusters = Labelled::clusters(&four(), vec![Some(1), Some(0), None, Some(1)], 2).unwrap();
        save(&clusters, &path, &SaveOptions::default()).unwrap();
        let again = load(&path, &four(), &LoadOptions { clusters: true, ..LoadOptions::default() }).unwrap();
        assert_eq!(again.labels(), clusters.labels());
        let error = save(&clusters, &path, &SaveOptions { soft: true }).unwrap_err();
        assert_eq!(error.message, "the labels of `four` come without probabilities");
    }

    #[test]
    fn a_row_of_parquet_that_does_not_fit_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.parquet");
        let message = |data: &PartlyLabelled| load(&path, data, &LoadOptions::default()).unwrap_err().message;
        save(&four().only_known(), &path, &SaveOptions::default()).unwrap();
        let others = message(&four_of(["boot", "hat"]));
        assert!(others.ends_with("labels.parquet, row 1: there is no class `bag`"), "{others}");
        std::fs::write(&path, "PAR1, nearly").unwrap();
        assert!(message(&four()).contains("as Parquet"));
    }

    #[test]
    fn a_line_that_does_not_fit_is_named() {
        let message = |text: &str| plain(text).unwrap_err().message;
        assert_eq!(message("index,label\n0,bag\n\n4,bag\n"), "labels.csv:4: there is no image 4");
        assert_eq!(message("index,label\n1,bag\n1,bag\n"), "labels.csv:3: image 1 has a line already, line 2");
        assert_eq!(message("index,label\n1,beg\n"), "labels.csv:2: there is no class `beg`");
        assert_eq!(message("index,label\n1,2\n"), "labels.csv:2: there is no class `2`");
        assert_eq!(message("index,label\n1\n"), "labels.csv:2: there are 1 values, expected an index and a label");
        assert_eq!(message("index,label\n-1,bag\n"), "labels.csv:2: `-1` is no index of an image");
        assert_eq!(message("index,label\n1,\"bag\n"), "labels.csv:2: a value opens with a quote that does not close");
        assert_eq!(message("index,label\n1,\"bag\"s\n"), "labels.csv:2: a quoted value is not followed by a comma");
        assert_eq!(message("image,label\n1,bag\n"), "labels.csv:1: the columns are `image,label`");
        assert!(message("\n").ends_with("is empty"));
        let soft = "index,bag,\"a \"\"hat\"\", red\"\n0,0.5,0.5\n";
        assert!(message(soft).ends_with("has no line for image 1"));
        assert_eq!(message(&soft.replace("0.5,0.5", "0.5,x")), "labels.csv:2: `x` is no finite number");
        assert!(
            message(&soft.replace("0.5,0.5", "0.5")).ends_with("there are 2 values, expected an index and 2 numbers")
        );
        let logits = LoadOptions { values: "logits".into(), ..LoadOptions::default() };
        assert!(read("index,label\n0,bag\n", &logits).unwrap_err().message.contains("would do nothing"));
        assert!(
            load(Path::new("no/such/file"), &four(), &LoadOptions::default())
                .unwrap_err()
                .message
                .contains("cannot read")
        );
    }

    #[test]
    fn a_name_that_is_a_number_stands_above_the_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.csv");
        std::fs::write(&path, "index,label\n1,1\n2,0\n").unwrap();
        let labelled = load(&path, &four_of(["1", "0"]), &LoadOptions::default()).unwrap();
        assert_eq!(labelled.labels(), [Some(0), Some(0), Some(1), None]);
    }
}
