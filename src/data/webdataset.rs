//! WebDataset: images and labels side by side in tar files.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::LoadOptions;
use super::part::{Opened, Part, Pictures, Raw, stamp};
use super::source::{AS_IT_IS, Home, Source};
use crate::error::{Error, Result, file};

pub(super) const WEBDATASET: Source = Source {
    name: "webdataset",
    doc: "Shards of WebDataset: tar files in which `0001.jpg` lies beside `0001.cls` or `0001.json`.\n\n\
          `path` is a shard, or a folder of them. Those whose names begin with `test` are to test with (else `val`), the \
          others to train with; without such names, in each class the first 80% of the images are for training. Images are \
          `.jpg`, `.jpeg` or `.png`. The label is the number in `.cls`, or the entry `label` of `.json`, or the entry that \
          `labels` names: a whole number from 0, negative where an image has none, or text.",
    origin: "the shards in `path`",
    licence: "that of the images",
    home: Home::Given("shards"),
    takes: &["labels"],
    usual: AS_IT_IS,
    open,
};

/// A label as it stands in a shard.
#[derive(Debug, Clone, PartialEq)]
enum Label {
    Number(u32),
    Text(String),
}

/// An image in a shard.
struct Sample {
    name: String,
    /// Where its bytes begin.
    start: u64,
    length: u64,
    label: Option<Label>,
}

/// One tar file.
struct Shard {
    path: PathBuf,
    samples: Vec<Sample>,
}

/// No image or label file in a shard is larger.
const LARGEST: u64 = 1 << 30;
/// More classes than this are no classes.
const MOST_CLASSES: u32 = 1_000_000;

fn open(path: &Path, options: &LoadOptions) -> Result<Opened> {
    let all = shards(path)?;
    let called = |name: &str| -> Vec<&PathBuf> {
        let is = |shard: &&PathBuf| shard.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name));
        all.iter().filter(is).collect()
    };
    let test = ["test", "val"].into_iter().map(called).find(|shards| !shards.is_empty()).unwrap_or_default();
    let train: Vec<&PathBuf> = all.iter().filter(|shard| !test.contains(shard)).collect();
    // Shards to test with alone are a set without parts.
    let (train, test) = if train.is_empty() { (test, Vec::new()) } else { (train, test) };
    let key = options.labels.as_deref();
    let read = |paths: &[&PathBuf]| paths.iter().map(|path| index(path, key)).collect::<Result<Vec<_>>>();
    let (train, test) = (read(&train)?, read(&test)?);
    let labels = train.iter().chain(&test).flat_map(|shard| &shard.samples).filter_map(|sample| sample.label.as_ref());
    let classes = classes(labels, path)?;
    if let (Some(key), true) = (key, classes.is_empty()) {
        return Err(Error::new(format!("no `.json` in `{}` has the entry `{key}`", path.display())));
    }
    let part = |shards: Vec<Shard>| Part::chain(shards.into_iter().map(|shard| shard.part(&classes)).collect());
    let name = path.file_stem().map(|name| name.to_string_lossy().into_owned());
    Ok(Opened {
        train: part(train),
        test: (!test.is_empty()).then(|| part(test)),
        classes: classes.clone(),
        origin: path.display().to_string(),
        name,
    })
}

/// The tar files that `path` is or holds, by name.
fn shards(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let list = || -> std::io::Result<Vec<PathBuf>> {
        std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect()
    };
    let mut paths = list().map_err(|error| file(path, "list", error))?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "tar"));
    paths.sort();
    match paths.is_empty() {
        true => Err(Error::new(format!("`{}` holds no file that ends in `.tar`", path.display()))),
        false => Ok(paths),
    }
}

/// What the labels are called: in order if they are text, by number if they are numbers.
fn classes<'a>(labels: impl Iterator<Item = &'a Label>, path: &Path) -> Result<Vec<String>> {
    let (mut texts, mut most) = (BTreeSet::new(), None);
    for label in labels {
        match label {
            Label::Text(text) => drop(texts.insert(text.clone())),
            Label::Number(number) => most = most.max(Some(*number)),
        }
    }
    match most {
        Some(_) if !texts.is_empty() => {
            Err(Error::new(format!("labels in `{}` are partly numbers and partly text", path.display())))
        }
        Some(most) if most >= MOST_CLASSES => Err(Error::new(format!(
            "`{}` has the label {most}; labels are whole numbers from 0 to {}",
            path.display(),
            MOST_CLASSES - 1
        ))),
        Some(most) => Ok((0..=most).map(|class| class.to_string()).collect()),
        None => Ok(texts.into_iter().collect()),
    }
}

fn damaged(path: &Path, what: impl std::fmt::Display) -> Error {
    Error::new(format!("cannot read `{}` as a tar file: {what}", path.display()))
        .help("shards are plain tar files; unpack those that end in `.tar.gz`")
}

/// An error if the file of `length` bytes does not end as tar files do, with two empty blocks: what was cut off between
/// two images would be missed by nobody.
fn whole_to_the_end(mut file: &File, length: u64) -> std::io::Result<()> {
    let mut end = [0; 1024];
    if length < 1024 {
        return Err(std::io::Error::other(format!("it holds {length} bytes")));
    }
    file.seek(SeekFrom::Start(length - 1024))?;
    file.read_exact(&mut end)?;
    file.seek(SeekFrom::Start(0))?;
    match end.iter().all(|byte| *byte == 0) {
        true => Ok(()),
        false => Err(std::io::Error::other("it is cut off, or none: it does not end with two empty blocks")),
    }
}

/// What lies in the shard at `path`: the images, and the labels beside them.
fn index(path: &Path, key: Option<&str>) -> Result<Shard> {
    let opened = File::open(path).map_err(|error| file(path, "open", error))?;
    let whole = opened.metadata().map_err(|error| file(path, "look at", error))?.len();
    whole_to_the_end(&opened, whole).map_err(|error| damaged(path, error))?;
    let mut archive = tar::Archive::new(opened);
    let mut samples: Vec<Sample> = Vec::new();
    // The sample whose files are passing by: its name, image and label.
    let (mut stem, mut image, mut label) = (String::new(), None::<(String, u64, u64)>, None);
    let mut end = |image: Option<(String, u64, u64)>, label: Option<Label>| {
        if let Some((name, start, length)) = image {
            samples.push(Sample { name, start, length, label });
        }
    };
    for entry in archive.entries_with_seek().map_err(|error| damaged(path, error))? {
        let mut entry = entry.map_err(|error| damaged(path, error))?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        // All before the first point of the last part of the name is what the files of a sample have in common.
        let last = name.rfind('/').map_or(0, |at| at + 1);
        let Some(point) = name[last..].find('.').map(|at| last + at) else { continue };
        let (this, ending) = (&name[..point], name[point + 1..].to_lowercase());
        if this != stem {
            end(image.take(), label.take());
            stem = this.to_string();
        }
        let (start, length) = (entry.raw_file_position(), entry.size());
        if length > LARGEST || start.saturating_add(length) > whole {
            return Err(damaged(path, format!("`{name}` is cut off")));
        }
        // What kind of file it is stands behind the last point.
        let ending = ending.rsplit('.').next().unwrap_or_default();
        match ending {
            "jpg" | "jpeg" | "png" => image = Some((name, start, length)),
            "cls" | "json" if ending == "json" || key.is_none() => {
                let mut text = String::new();
                entry.read_to_string(&mut text).map_err(|error| damaged(path, format!("`{name}`: {error}")))?;
                let found = if ending == "cls" { class(&text, &name)? } else { entry_of(&text, key, &name)? };
                label = label.or(found);
            }
            _ => {}
        }
    }
    end(image, label);
    if samples.is_empty() {
        return Err(Error::new(format!("`{}` holds no `.jpg`, `.jpeg` or `.png`", path.display())));
    }
    Ok(Shard { path: path.to_path_buf(), samples })
}

/// The label in a file `.cls`.
fn class(text: &str, name: &str) -> Result<Option<Label>> {
    match text.trim().parse::<i64>() {
        Ok(number) => Ok(u32::try_from(number).ok().map(Label::Number)),
        Err(_) => Err(Error::new(format!("`{name}` holds `{}`; a label is a whole number", text.trim()))),
    }
}

/// The label in a file `.json`, if it has one.
fn entry_of(text: &str, key: Option<&str>, name: &str) -> Result<Option<Label>> {
    let about: serde_json::Value =
        serde_json::from_str(text).map_err(|error| Error::new(format!("`{name}` is no JSON: {error}")))?;
    let key = key.unwrap_or("label");
    match about.get(key) {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(serde_json::Value::String(text)) => Ok(Some(Label::Text(text.clone()))),
        Some(value) => match value.as_i64() {
            Some(number) => Ok(u32::try_from(number).ok().map(Label::Number)),
            None => Err(Error::new(format!("`{key}` of `{name}` is {value}; a label is a whole number or text"))),
        },
    }
}

impl Shard {
    fn part(self, classes: &[String]) -> Part {
        let place = |label: &Label| match label {
            Label::Number(number) => Some(*number),
            Label::Text(text) => classes.iter().position(|class| class == text).map(|place| place as u32),
        };
        let labels = self.samples.iter().map(|sample| sample.label.as_ref().and_then(place)).collect();
        Part::new(self, labels)
    }
}

impl Pictures for Shard {
    fn each(&self, take: &mut dyn FnMut(Raw) -> Result<()>) -> Result<()> {
        let mut opened = File::open(&self.path).map_err(|error| file(&self.path, "open", error))?;
        for sample in &self.samples {
            let mut bytes = vec![0; sample.length as usize];
            let read = opened.seek(SeekFrom::Start(sample.start)).and_then(|_| opened.read_exact(&mut bytes));
            read.map_err(|error| file(&self.path, "read", error))?;
            take(Raw::Encoded { bytes, name: format!("{} in {}", sample.name, self.path.display()) })?;
        }
        Ok(())
    }

    fn identity(&self) -> Result<String> {
        stamp(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Splits, load};
    use super::*;
    use proptest::prelude::*;

    fn golden(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/data").join(name)
    }

    fn load_from(path: &Path, labels: Option<&str>) -> Result<Splits> {
        let path = Some(path.display().to_string());
        load("webdataset", &LoadOptions { path, labels: labels.map(String::from), ..Default::default() })
    }

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::copy(golden(name), root.path().join(name)).unwrap();
        }
        root
    }

    #[test]
    fn shards_follow_one_another_and_labels_lie_beside_images() {
        let root = folder(&["train-0.tar", "train-1.tar", "test-0.tar"]);
        let Splits { train, test } = load_from(root.path(), None).unwrap();
        // The fourth label is -1, the fifth image has none beside it.
        assert_eq!(train.labels(), [Some(0), Some(1), Some(0), None, None]);
        let first: Vec<u8> = (0..5).map(|index| train.images().image(index)[0]).collect();
        assert_eq!((first, train.classes().len()), (vec![0, 10, 20, 30, 40], 2));
        assert_eq!((test.truth().unwrap().labels(), test.images().image(0)[0]), (&[1u32][..], 50));
    }

    #[test]
    fn an_entry_of_the_json_is_the_label() {
        let Splits { train, test } = load_from(&golden("json.tar"), Some("kind")).unwrap();
        assert_eq!(
            (train.classes(), train.truth().unwrap().labels()),
            (&["cat", "owl"].map(String::from)[..], &[1u32, 0][..])
        );
        assert_eq!(test.truth().unwrap().labels(), [1, 0]);
        let numbers = load_from(&golden("json.tar"), None).unwrap();
        assert_eq!((numbers.train.labels(), numbers.train.classes().len()), (vec![Some(7), None], 8));
        assert!(load_from(&golden("json.tar"), Some("sort")).unwrap_err().message.ends_with("has the entry `sort`"));
    }

    #[test]
    fn what_is_no_shard_is_told() {
        let root = folder(&["train-0.tar"]);
        let path = root.path().join("train-0.tar");
        let whole = std::fs::read(&path).unwrap();
        for length in [0, 600, 1600, 3072] {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(load_from(&path, None).unwrap_err().message.contains("as a tar file: "), "{length} bytes");
        }
        std::fs::write(&path, vec![b'x'; 2048]).unwrap();
        assert!(load_from(&path, None).unwrap_err().help.unwrap().contains("plain tar files"));
        std::fs::write(&path, vec![0; 2048]).unwrap();
        assert!(load_from(&path, None).unwrap_err().message.ends_with("holds no `.jpg`, `.jpeg` or `.png`"));
        std::fs::remove_file(&path).unwrap();
        assert!(load_from(root.path(), None).unwrap_err().message.ends_with("holds no file that ends in `.tar`"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_the_bytes_reading_ends(places in prop::collection::vec((0usize..6000, any::<u8>()), 1..4)) {
            let root = folder(&["train-0.tar"]);
            let path = root.path().join("train-0.tar");
            let mut bytes = std::fs::read(&path).unwrap();
            places.iter().for_each(|(place, value)| bytes[*place] = *value);
            std::fs::write(&path, bytes).unwrap();
            let _ = load_from(&path, None);
        }
    }

    #[test]
    fn what_stands_before_the_first_point_is_a_sample_and_its_class_is_that_of_the_first_file() {
        let mut png = std::io::Cursor::new(Vec::new());
        image::GrayImage::new(2, 2).write_to(&mut png, image::ImageFormat::Png).unwrap();
        let png = png.into_inner();
        let root = tempfile::tempdir().unwrap();
        for name in ["train.tar", "test.tar"] {
            let mut shard = tar::Builder::new(Vec::new());
            let files: [(&str, &[u8]); 3] = [("a.left.png", &png), ("a.cls", b"3"), ("a.json", b"{\"label\": 1}")];
            for (name, bytes) in files {
                let mut header = tar::Header::new_gnu();
                header.set_size(bytes.len() as u64);
                shard.append_data(&mut header, name, bytes).unwrap();
            }
            std::fs::write(root.path().join(name), shard.into_inner().unwrap()).unwrap();
        }
        assert_eq!(load_from(root.path(), None).unwrap().train.labels(), [Some(3)]);
        assert_eq!(load_from(root.path(), Some("label")).unwrap().train.labels(), [Some(1)]);
    }
}
