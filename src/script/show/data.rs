//! Data sets and batches: how many images of each class, and the first few of them.

use crate::data::{Batch, Dataset, Images, Labelled, PartlyLabelled, Splits};
use crate::script::bind::Stream;
use crate::script::display::{self, Display, Show};
use crate::script::page::{self, Cell, Page, Table};
use crate::script::show::{examples, firsts, grid};

/// Examples of each class.
const EXAMPLES: usize = 8;
/// Classes that are shown of many.
const CLASSES: usize = 20;
/// Images that are shown of a set without classes, and of a batch.
const IMAGES: usize = 32;

/// Counts by class, as text and as a table with bars and examples.
struct ByClass<'a> {
    classes: &'a [String],
    /// The name of each column of counts; the bars are of the last one.
    columns: Vec<(&'static str, Vec<usize>)>,
    images: &'a Images,
    /// What is said of the examples, and the examples of each class.
    says: &'static str,
    members: Vec<Vec<u32>>,
}

impl ByClass<'_> {
    fn shown(&self) -> usize {
        // A table that leaves out one class says no less than the class would.
        if self.classes.len() <= CLASSES + 1 { self.classes.len() } else { CLASSES }
    }

    fn count(&self, column: usize, class: usize) -> usize {
        self.columns[column].1.get(class).copied().unwrap_or(0)
    }

    fn header(&self) -> Vec<&str> {
        std::iter::once("class").chain(self.columns.iter().map(|(name, _)| *name)).collect()
    }

    fn left_out(&self) -> Option<String> {
        let rest = self.classes.len() - self.shown();
        (rest > 0).then(|| format!("and {rest} more classes"))
    }

    fn text(&self) -> String {
        let rows: Vec<Vec<String>> = (0..self.shown())
            .map(|class| {
                let counts = (0..self.columns.len()).map(|column| self.count(column, class).to_string());
                std::iter::once(self.classes[class].clone()).chain(counts).collect()
            })
            .collect();
        let mut text = display::table(&self.header(), &rows);
        if let Some(rest) = self.left_out() {
            text.push_str(&format!("\n{rest}"));
        }
        text
    }

    fn table(&self) -> Table {
        let mut header = self.header();
        header.extend(["", self.says]);
        let mut table = Table::new(&header);
        let last = self.columns.len().saturating_sub(1);
        let most = (0..self.classes.len()).map(|class| self.count(last, class)).max().unwrap_or(0).max(1);
        for class in 0..self.shown() {
            let mut cells = vec![Cell::from(self.classes[class].as_str())];
            cells.extend((0..self.columns.len()).map(|column| Cell::from(self.count(column, class))));
            cells.push(Cell::Bar(self.count(last, class) as f64 / most as f64));
            cells.push(self.members.get(class).map_or(Cell::Empty, |members| examples(self.images, members)));
            table.row(cells);
        }
        table.total(
            std::iter::once(Cell::from("all"))
                .chain(self.columns.iter().map(|(_, counts)| Cell::from(counts.iter().sum::<usize>())))
                .chain([Cell::Empty, Cell::Empty]),
        );
        if let Some(rest) = self.left_out() {
            table.more(rest);
        }
        table
    }
}

fn sized(images: &Images) -> String {
    format!("{} images of {}", page::count(images.n()), images.shape())
}

/// The first images as they are, where there are no classes to sort them by.
fn first_images(page: Page, images: &Images) -> Page {
    let indices: Vec<u32> = (0..images.n().min(IMAGES) as u32).collect();
    match images.select(&indices).and_then(|images| grid(&images, 8)) {
        Ok(picture) => page.picture(&format!("the first {} images", indices.len()), &picture, picture.width),
        Err(_) => page,
    }
}

impl Show for Splits {
    const NAME: &'static str = "Splits";

    fn short(&self) -> String {
        format!("train: {}; test: {}", self.train.short(), self.test.short())
    }

    fn full(&self) -> Display {
        let name = self.train.name().split('/').next().unwrap_or_default();
        let head = format!(
            "{} images to train with, {} to test with, {}",
            page::count(self.train.n()),
            page::count(self.test.n()),
            self.train.shape()
        );
        let page = Page::new().head(name, &head).facts([("from", self.train.origin().to_string())]);
        let text = format!("{name}: {head}");
        if self.train.classes().is_empty() {
            return Display::text(text).on(&first_images(page, self.train.images()));
        }
        let by_class = ByClass {
            classes: self.train.classes(),
            columns: vec![("test", self.test.counts()), ("train", self.train.counts())],
            images: self.train.images(),
            says: "the first to train with",
            members: firsts(self.train.labels().into_iter(), self.train.classes().len(), EXAMPLES),
        };
        Display::text(format!("{text}\n{}", by_class.text())).on(&page.table(&by_class.table()))
    }
}

impl Show for Dataset {
    const NAME: &'static str = "Dataset";

    fn short(&self) -> String {
        let shape = self.shape();
        format!("{}, {} images of {}x{}x{}", self.name(), self.n(), shape.channels, shape.height, shape.width)
    }

    fn full(&self) -> Display {
        let page = Page::new().head(self.name(), &sized(self.images())).facts([("from", self.origin().to_string())]);
        if self.classes().is_empty() {
            return Display::text(self.short()).on(&first_images(page, self.images()));
        }
        let by_class = ByClass {
            classes: self.classes(),
            columns: vec![("images", self.counts())],
            images: self.images(),
            says: "the first of them",
            members: firsts(self.labels().into_iter(), self.classes().len(), EXAMPLES),
        };
        Display::text(format!("{}\n{}", self.short(), by_class.text())).on(&page.table(&by_class.table()))
    }
}

impl Show for PartlyLabelled {
    const NAME: &'static str = "PartlyLabelled";

    fn short(&self) -> String {
        self.to_string().lines().next().unwrap_or_default().to_string()
    }

    fn full(&self) -> Display {
        let (kept, n) = (self.n_known(), self.n());
        let head = format!("{} of {} labels are kept", page::count(kept), page::count(n));
        let page = Page::new().head(self.name(), &head).numbers([
            (page::percent(kept as f64 / n as f64), "of the labels may be seen"),
            (page::count(n - kept), "images show no label"),
            (self.budget().seed.to_string(), "seed of the choice"),
        ]);
        let by_class = ByClass {
            classes: self.classes(),
            columns: vec![("labels", self.known_counts())],
            images: self.images(),
            says: "the first with a label",
            members: firsts(self.known().iter().copied(), self.classes().len(), EXAMPLES),
        };
        Display::text(format!("{self}, seed {}\n{}", self.budget().seed, by_class.text()))
            .on(&page.table(&by_class.table()))
    }
}

impl Show for Labelled {
    const NAME: &'static str = "Labelled";

    fn short(&self) -> String {
        self.to_string().lines().next().unwrap_or_default().to_string()
    }

    fn full(&self) -> Display {
        let (n, labelled, known) = (self.n(), self.n_labelled(), self.source().n_known());
        let head = format!("{} of {} images have a label", page::count(labelled), page::count(n));
        let inferred = labelled - known.min(labelled);
        let mut numbers = vec![
            (page::percent(labelled as f64 / n as f64), "of the images have a label"),
            (page::count(known), "labels were given"),
            (page::count(inferred), "labels were inferred"),
        ];
        let unknown = |index: usize| self.source().known()[index].is_none();
        if inferred > 0 {
            let sure: f64 = (0..n)
                .filter(|index| unknown(*index) && self.labels()[*index].is_some())
                .map(|index| f64::from(self.confidence()[index]))
                .sum();
            numbers.push((display::rounded(sure / inferred as f64), "is how sure the inferred ones are"));
        }
        // What was inferred is worth a look; what was given is known.
        let labels = self.labels().iter().enumerate();
        let looked = labels.map(|(index, label)| label.filter(|_| inferred == 0 || unknown(index)));
        let by_class = ByClass {
            classes: self.classes(),
            columns: vec![("given", self.source().known_counts()), ("labels", self.counts())],
            images: self.images(),
            says: if inferred == 0 { "the first with a label" } else { "the first with an inferred label" },
            members: firsts(looked, self.classes().len(), EXAMPLES),
        };
        let page = Page::new().head(self.name(), &head).numbers(numbers).table(&by_class.table());
        Display::text(format!("{self}\n{}", by_class.text())).on(&page)
    }
}

impl Show for Stream {
    const NAME: &'static str = "Batches";

    fn short(&self) -> String {
        let whole = format!("batches of {} from {} images", self.batches.size(), self.batches.n());
        match self.end {
            Some(end) => format!("{end} {whole}"),
            None => format!("{whole}, without end"),
        }
    }
}

impl Show for Batch {
    const NAME: &'static str = "Batch";

    fn short(&self) -> String {
        let labels = if self.labels.is_some() { " with labels" } else { "" };
        format!("a batch of {} images{labels}", self.indices.len())
    }

    fn full(&self) -> Display {
        let shown = self.indices.len().min(IMAGES);
        let labels = self.labels.as_ref().and_then(|labels| labels.to_u32s().ok());
        let says = |name: &str, numbers: &[u32]| {
            let first: Vec<String> = numbers.iter().take(shown).map(u32::to_string).collect();
            let rest = if shown < numbers.len() { ", .." } else { "" };
            format!("{name} {}{rest}", first.join(", "))
        };
        let mut text = self.short();
        let mut page = Page::new().head(&self.short(), "").line(&says("images", &self.indices));
        if let Some(labels) = &labels {
            text.push_str(&format!("\n{}", says("labels", labels)));
            page = page.line(&says("labels", labels));
        }
        let images = self.images.detach().narrow(0, 0, shown).and_then(|images| Images::from_tensor(&images));
        match images.and_then(|images| grid(&images, 8)) {
            Ok(picture) => Display::picture(text, "batch", picture).on(&page),
            Err(_) => Display::text(text).on(&page),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{BatchOptions, Shape, Truth};

    /// `n` images of 28x28, grey, of classes in turn, the first with a name that is markup.
    fn set(n: usize, classes: usize) -> Dataset {
        let shape = Shape { channels: 1, height: 28, width: 28 };
        let images = Images::new(shape, (0..n * 784).map(|i| (i * 31 % 256) as u8).collect()).unwrap();
        let mut names = vec!["<script>alert(1)</script>".to_string()];
        names.extend((1..classes).map(|class| format!("class {class}")));
        let labels = (0..n).map(|i| (i % classes) as u32).collect();
        Dataset::new("set/train", images, Some(Truth::new(labels, names).unwrap()), "a <b>test</b>").unwrap()
    }

    fn page(shown: &Display) -> String {
        let page = shown.page().unwrap().unwrap();
        assert!(!page.contains("<script") && !page.contains("<b>test"), "{page}");
        page
    }

    #[test]
    fn a_set_shows_counts_bars_and_examples_of_each_class() {
        let shown = set(31, 3).full();
        assert!(shown.text.starts_with("set/train, 31 images of 1x28x28\nclass"), "{}", shown.text);
        let page = page(&shown);
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && page.contains("31 images of 28x28 grey"));
        assert_eq!(page.matches("<img ").count(), 3);
        assert!(
            page.contains("<td class=\"fl-n\">11</td>")
                && page.contains("width:100.0%")
                && page.contains("width:90.9%")
        );
        // Eight images of 28 pixels and the lines between them, at twice the size.
        assert!(page.contains(&format!("width:{}px", 2 * (8 * 29 - 1))));
        assert!(page.contains("<tr class=\"fl-total\"><td>all</td><td class=\"fl-n\">31</td>"));
    }

    #[test]
    fn many_classes_are_cut_and_counted() {
        let shown = set(200, 100).full();
        assert!(shown.text.ends_with("  2\nand 80 more classes"), "{}", shown.text);
        assert!(page(&shown).contains("and 80 more classes") && !page(&shown).contains("class 20"));
        assert!(!set(42, 21).full().text.contains("more"));
    }

    #[test]
    fn images_without_classes_are_shown_as_they_come() {
        let images = set(40, 2).images().clone();
        let bare = Dataset::new("bare", images, None, "here").unwrap();
        assert!(page(&bare.full()).contains("the first 32 images"));
    }

    #[test]
    fn splits_stand_beside_one_another() {
        let splits = Splits { train: set(30, 3), test: set(6, 3) };
        let shown = splits.full();
        assert!(shown.text.starts_with("set: 30 images to train with, 6 to test with, 28x28 grey\n"), "{}", shown.text);
        assert!(page(&shown).contains("<td class=\"fl-n\">2</td><td class=\"fl-n\">10</td>"));
    }

    #[test]
    fn a_budget_shows_what_may_be_seen() {
        let known = set(40, 2).keep_labels(0.1, 7).unwrap();
        let shown = known.full();
        assert!(shown.text.starts_with("set/train: 4 of 40 labels kept (10.0%), seed 7\n"), "{}", shown.text);
        let page = page(&shown);
        assert!(
            page.contains("<b>10.0%</b>")
                && page.contains("<b>36</b>images show no label")
                && page.contains("<b>7</b>")
        );
        assert_eq!(page.matches("<img ").count(), 2);
    }

    #[test]
    fn inferred_labels_are_told_from_given_ones() {
        let known = set(20, 2).keep_labels(0.1, 1).unwrap();
        let page_of = |labelled: &Labelled| page(&labelled.full());
        let given = page_of(&known.only_known());
        assert!(given.contains("<b>0</b>labels were inferred") && given.contains("the first with a label"));
        let labelled = Labelled::from_probs(&known, &[0.25, 0.75].repeat(20), 0.0).unwrap();
        let page = page_of(&labelled);
        assert!(page.contains("<b>18</b>labels were inferred") && page.contains("<b>0.75</b>"), "{page}");
        assert!(page.contains("the first with an inferred label"));
        // Everything but one given label was taken for class 1.
        assert!(page.contains("<td class=\"fl-n\">1</td><td class=\"fl-n\">19</td>"), "{page}");
    }

    #[test]
    fn a_batch_shows_its_images_and_labels() {
        let batch = set(40, 2).batches(36, &BatchOptions::default()).unwrap().batch(0).unwrap();
        let shown = batch.full();
        assert!(shown.text.starts_with("a batch of 36 images with labels\nlabels ") && shown.text.ends_with(", .."));
        assert_eq!(shown.pictures[0].1.width, 8 * 58 - 2);
        assert!(page(&shown).contains("<img "));
    }

    #[test]
    fn examples_of_large_images_are_small() {
        let shape = Shape { channels: 3, height: 200, width: 300 };
        let images = Images::new(shape, (0..2 * shape.bytes()).map(|i| (i % 251) as u8).collect()).unwrap();
        let Cell::Picture(picture, width) = examples(&images, &[1, 0]) else { panic!() };
        assert_eq!((picture.width, picture.height, width), (75 * 2 + 1, 50, 151));
        // Every fourth pixel of every fourth row.
        let second = images.image(1);
        assert_eq!(picture.pixels[3], second[4]);
        assert_eq!(picture.pixels[picture.width * 3], second[4 * 300]);
    }
}
