//! A value, as a person sees it: a short form for `print`, a full form for `show` and a cell's last value.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rhai::{AST, Array, Dynamic, Engine, FnPtr, Map};
use serde_json::{Value, json};

use crate::error::Result;
use crate::figure::{self, Animation, Figure};
use crate::progress::Picture;
use crate::script::page::{self, Page};
use crate::script::show;

/// What is shown of a value, in the forms a front end may choose from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Display {
    /// For a terminal.
    pub text: String,
    /// For a page, if there is more to show than the text: the body, which [`Display::page`] makes whole.
    pub html: Option<String>,
    /// Pictures, each with a name for its file. They are no part of `html`, but for the picture of a chart.
    pub pictures: Vec<(String, Picture)>,
    /// A chart in lines, when the one picture is of it, two pixels to one of the chart's. `html`, if there is any, shows the
    /// chart by itself, in the colours of its page.
    pub svg: Option<String>,
    /// What the one picture begins.
    pub moving: Option<Arc<Animation>>,
    /// Forms of other MIME types.
    pub more: Vec<(String, Value)>,
}

/// The side that a small picture is enlarged to, in page pixels, as far as whole pixels go.
const SEEN: usize = 256;

impl Display {
    /// Text alone.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// A picture with a line of text.
    pub fn picture(text: impl Into<String>, name: impl Into<String>, picture: Picture) -> Self {
        Self { text: text.into(), pictures: vec![(name.into(), picture)], ..Self::default() }
    }

    /// An animation with a line of text.
    pub fn animation(text: impl Into<String>, name: impl Into<String>, animation: Arc<Animation>) -> Self {
        let first = animation.frames().first().cloned();
        let pictures = first.map(|first| (name.into(), first)).into_iter().collect();
        Self { text: text.into(), pictures, moving: Some(animation), ..Self::default() }
    }

    /// A chart with a line of text.
    ///
    /// # Errors
    /// The chart is too large to draw.
    pub fn chart(text: impl Into<String>, name: impl Into<String>, chart: &Figure) -> Result<Self> {
        let picture = Self::picture(text, name, chart.picture(2.0)?);
        Ok(Self { svg: Some(chart.svg()), ..picture })
    }

    /// The same with a form for a page.
    #[must_use]
    pub fn on(mut self, page: &Page) -> Self {
        self.html = Some(page.body().to_string());
        self
    }

    /// The whole HTML: the form for a page, and below it the pictures. Nothing where a single picture says it all.
    ///
    /// # Errors
    /// A picture is no picture.
    pub fn page(&self) -> Result<Option<String>> {
        Ok(self.whole(&self.pngs()?))
    }

    /// The pictures as text, which an output may hold twice and which takes a while to make.
    fn pngs(&self) -> Result<Vec<String>> {
        // Whoever shows the file may blend what it enlarges, so that is done here, pixel by pixel.
        let png = |picture: &Picture| match (self.size(picture).0 / picture.width.max(1), &self.moving) {
            (times @ 2.., Some(moving)) => moving.map(|frame| enlarged(frame, times)).png(),
            (_, Some(moving)) => moving.png(),
            (times @ 2.., None) => figure::png(&enlarged(picture, times)),
            (_, None) => figure::png(picture),
        };
        self.pictures.iter().map(|(_, picture)| Ok(page::base64(&png(picture)?))).collect()
    }

    fn whole(&self, pngs: &[String]) -> Option<String> {
        if self.html.is_none() && self.pictures.len() < 2 {
            return None;
        }
        let mut body = self.html.clone().unwrap_or_default();
        let named = self.pictures.len() > 1;
        let shots = self
            .pictures
            .iter()
            .zip(pngs)
            .map(|((name, picture), png)| Page::new().png(if named { name } else { "" }, png, self.size(picture)));
        if !self.pictures.is_empty() && self.svg.is_none() {
            body.push_str(Page::new().row(shots).body());
        }
        Some(page::whole(&body))
    }

    /// Every form by its MIME type: `text/plain` always; `text/html` where a person would rather look; `image/png` of a
    /// single picture; `image/svg+xml` of a chart.
    ///
    /// # Errors
    /// A picture is no picture.
    pub fn bundle(&self) -> Result<serde_json::Map<String, Value>> {
        let mut pngs = self.pngs()?;
        let mut bundle = serde_json::Map::new();
        bundle.insert("text/plain".into(), self.text.clone().into());
        if let Some(page) = self.whole(&pngs) {
            bundle.insert("text/html".into(), page.into());
        }
        if let Some(svg) = &self.svg {
            bundle.insert("image/svg+xml".into(), on_paper(svg).into());
        }
        if pngs.len() == 1 {
            bundle.extend(pngs.pop().map(|png| ("image/png".to_string(), png.into())));
        }
        bundle.extend(self.more.iter().cloned());
        Ok(bundle)
    }

    /// What goes with the bundle: the size in which a page is to show the picture.
    pub fn metadata(&self) -> serde_json::Map<String, Value> {
        let mut metadata = serde_json::Map::new();
        if let [(_, picture)] = self.pictures.as_slice() {
            let (width, height) = self.size(picture);
            metadata.insert("image/png".into(), json!({ "width": width, "height": height }));
        }
        metadata
    }

    /// Page pixels across and down: charts have two pixels for one, small pictures several page pixels for one.
    fn size(&self, picture: &Picture) -> (usize, usize) {
        let (width, height) = (picture.width, picture.height);
        match (self.svg.is_some(), SEEN / width.max(height).max(1)) {
            (true, _) => (width.div_ceil(2), height.div_ceil(2)),
            (false, times) => (width * times.clamp(1, 8), height * times.clamp(1, 8)),
        }
    }
}

/// The same picture with each pixel repeated, across and down.
fn enlarged(picture: &Picture, times: usize) -> Picture {
    let rows = picture.pixels.chunks_exact(picture.width * 3);
    let pixels = rows.flat_map(|row| {
        let wide: Vec<u8> = row.chunks_exact(3).flat_map(|pixel| pixel.repeat(times)).collect();
        wide.repeat(times)
    });
    Picture { width: picture.width * times, height: picture.height * times, pixels: pixels.collect() }
}

/// A chart on white. A notebook shows an SVG file as a picture, out of reach of the page's colours, so that the chart's dark
/// letters would stand on whatever the theme has.
fn on_paper(svg: &str) -> String {
    match svg.split_once('>') {
        Some((head, rest)) => format!("{head}><rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>{rest}"),
        None => svg.to_string(),
    }
}

/// A type that scripts hold.
pub trait Show: Clone + Send + Sync + 'static {
    /// What scripts call the type.
    const NAME: &'static str;
    /// On one line.
    fn short(&self) -> String;
    /// In full.
    fn full(&self) -> Display {
        Display::text(self.short())
    }
}

type Shower = (fn(&Dynamic) -> String, fn(&Dynamic) -> Display);

/// How to show the types that scripts hold. Types are made known once, by whichever session comes first.
static SHOWERS: LazyLock<Mutex<HashMap<TypeId, Shower>>> = LazyLock::new(Mutex::default);

/// Makes a type known to `engine`: its name, and how it is shown.
pub fn know<T: Show>(engine: &mut Engine) {
    engine.register_type_with_name::<T>(T::NAME);
    let shower: Shower = (
        |value| value.read_lock::<T>().map(|value| value.short()).unwrap_or_default(),
        |value| value.read_lock::<T>().map(|value| value.full()).unwrap_or_default(),
    );
    SHOWERS.lock().unwrap_or_else(PoisonError::into_inner).insert(TypeId::of::<T>(), shower);
    // By value: constants are shown as well.
    engine.register_fn("to_string", |value: T| value.short());
    engine.register_fn("to_debug", |value: T| value.short());
}

fn shower(value: &Dynamic) -> Option<Shower> {
    SHOWERS.lock().unwrap_or_else(PoisonError::into_inner).get(&value.type_id()).copied()
}

/// A value on one line.
pub fn short(value: &Dynamic) -> String {
    if let Some((short, _)) = shower(value) {
        return short(value);
    }
    if let Some(items) = value.read_lock::<Array>() {
        return short_list(&items);
    }
    if let Some(map) = value.read_lock::<Map>() {
        return short_map(&map);
    }
    if let Some(function) = value.read_lock::<FnPtr>() {
        return function_text(&function);
    }
    if value.is_string() {
        return format!("{:?}", value.to_string());
    }
    if let Ok(number) = value.as_float() {
        return float(number);
    }
    if value.is_unit() {
        return "()".into();
    }
    value.to_string()
}

/// How the functions of scripts are called, by name: what a function value does not know itself.
static SIGNATURES: LazyLock<Mutex<HashMap<String, Vec<String>>>> = LazyLock::new(Mutex::default);

/// Functions whose arguments are remembered.
const FUNCTIONS: usize = 10_000;

/// Takes note of the functions of a script, so that their values can say what they take.
pub(crate) fn note_functions(script: &AST) {
    let mut signatures = SIGNATURES.lock().unwrap_or_else(PoisonError::into_inner);
    if signatures.len() > FUNCTIONS {
        signatures.clear();
    }
    for function in script.iter_functions() {
        signatures.insert(function.name.to_string(), function.params.iter().map(ToString::to_string).collect());
    }
}

/// `the function f(a, b)`; of one without a name `a function of (a, b)`. What it already holds it is not given.
fn function_text(function: &FnPtr) -> String {
    let signatures = SIGNATURES.lock().unwrap_or_else(PoisonError::into_inner);
    let given = signatures.get(function.fn_name()).and_then(|params| params.get(function.curry().len()..));
    match (function.is_anonymous(), given.map(|params| params.join(", "))) {
        (true, Some(params)) => format!("a function of ({params})"),
        (true, None) => "a function".into(),
        (false, Some(params)) => format!("the function `{}({params})`", function.fn_name()),
        (false, None) => format!("the function `{}`", function.fn_name()),
    }
}

/// A list on one line.
pub fn short_list(items: &Array) -> String {
    format!("[{}]", items.iter().map(short).collect::<Vec<_>>().join(", "))
}

/// A map on one line.
pub fn short_map(map: &Map) -> String {
    let items: Vec<String> = map.iter().map(|(name, value)| format!("{name}: {}", short(value))).collect();
    format!("#{{{}}}", items.join(", "))
}

/// A value in full.
pub fn full(value: &Dynamic) -> Display {
    if let Some((_, full)) = shower(value) {
        return full(value);
    }
    if value.is_string() {
        return Display::text(value.to_string());
    }
    if let Some(items) = value.read_lock::<Array>() {
        return show::array(&items);
    }
    if let Some(map) = value.read_lock::<Map>() {
        return show::map(&map);
    }
    Display::text(short(value))
}

/// A number as a script writes it: always with a point or an exponent.
pub fn float(number: f64) -> String {
    match number.abs() {
        _ if !number.is_finite() => format!("{number}"),
        size if size != 0.0 && !(1e-4..1e15).contains(&size) => format!("{number:e}"),
        _ if number.fract() == 0.0 => format!("{number:.1}"),
        _ => format!("{number}"),
    }
}

/// A measured number with a sensible count of digits.
pub fn rounded(number: f64) -> String {
    let text = match number.abs() {
        _ if !number.is_finite() => return format!("{number}"),
        0.0 => return "0".into(),
        size if !(1e-4..1e6).contains(&size) => return format!("{number:.3e}"),
        size => format!("{number:.*}", (4 - size.log10().floor() as i32 - 1).clamp(0, 7) as usize),
    };
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

/// Lines of cells under one another, numbers to the right.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let columns = header.len();
    let width: Vec<usize> = (0..columns)
        .map(|c| {
            rows.iter()
                .filter_map(|row| row.get(c))
                .map(|cell| cell.chars().count())
                .chain([header[c].chars().count()])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let right: Vec<bool> = (0..columns)
        .map(|c| {
            !rows.is_empty()
                && rows.iter().all(|row| {
                    row.get(c).is_none_or(|cell| {
                        cell.is_empty() || cell.starts_with(|c: char| c.is_ascii_digit() || c == '-')
                    })
                })
        })
        .collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().enumerate().map(|(c, cell)| {
            let space = " ".repeat(width[c] - cell.chars().count().min(width[c]));
            if right[c] { format!("{space}{cell}") } else { format!("{cell}{space}") }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    let mut lines = vec![line(header.to_vec())];
    lines.extend(rows.iter().map(|row| line((0..columns).map(|c| row.get(c).map_or("", String::as_str)).collect())));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_as_what_they_are() {
        assert_eq!(float(1.0), "1.0");
        assert_eq!(float(2e-4), "0.0002");
        assert_eq!(float(1e-7), "1e-7");
        assert_eq!(rounded(61.23456), "61.23");
        assert_eq!(rounded(0.5), "0.5");
        assert_eq!(rounded(123_456.0), "123456");
    }

    #[test]
    fn a_function_says_what_it_takes() {
        let shown = |script: &str| crate::script::show::testing::shown(script).text;
        assert_eq!(shown("|real, fake| real - fake"), "a function of (real, fake)");
        // What a closure holds is no argument of it.
        assert_eq!(shown("let weight = 2; let f = |x| x * weight; weight = 3; f"), "a function of (x)");
        assert_eq!(shown("fn lipschitz(d, real) { d } Fn(\"lipschitz\")"), "the function `lipschitz(d, real)`");
        assert_eq!(shown("Fn(\"nowhere_to_be_found\")"), "the function `nowhere_to_be_found`");
    }

    fn picture(width: usize, height: usize) -> Picture {
        Picture { width, height, pixels: vec![7; width * height * 3] }
    }

    /// The MIME types of a bundle.
    fn kinds(display: &Display) -> Vec<String> {
        display.bundle().unwrap().keys().cloned().collect()
    }

    #[test]
    fn words_alone_are_plain_text() {
        let display = Display::text("42");
        assert_eq!(Value::Object(display.bundle().unwrap()), json!({ "text/plain": "42" }));
        assert!(display.metadata().is_empty());
    }

    #[test]
    fn one_picture_is_a_png_that_a_page_enlarges_by_whole_pixels() {
        let display = Display::picture("a picture", "samples", picture(28, 14));
        assert_eq!(kinds(&display), ["text/plain", "image/png"]);
        let png = page::base64(&figure::png(&picture(224, 112)).unwrap());
        assert_eq!(display.bundle().unwrap()["image/png"], png);
        assert_eq!(Value::Object(display.metadata()), json!({ "image/png": { "width": 224, "height": 112 } }));
        let large = Display::picture("", "grid", picture(300, 20));
        assert_eq!(large.metadata()["image/png"]["width"], 300);
        let dot = Display::picture("", "grid", picture(1, 1));
        assert_eq!(dot.metadata()["image/png"]["width"], 8);
    }

    #[test]
    fn a_picture_is_enlarged_by_repeating_its_pixels() {
        let two = Picture { width: 2, height: 1, pixels: vec![1, 2, 3, 4, 5, 6] };
        let row = [1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6];
        assert_eq!(enlarged(&two, 2), Picture { width: 4, height: 2, pixels: row.repeat(2) });
    }

    #[test]
    fn several_pictures_stand_in_a_row_of_html() {
        let mut display = Display::picture("two <b>", "a <b>", picture(28, 28));
        display.pictures.push(("c".into(), picture(400, 10)));
        assert_eq!(kinds(&display), ["text/plain", "text/html"]);
        let bundle = display.bundle().unwrap();
        let html = bundle["text/html"].as_str().unwrap();
        assert_eq!(
            (html.matches("<img src=\"data:image/png;base64,").count(), bundle["text/plain"].as_str()),
            (2, Some("two <b>"))
        );
        assert!(
            html.contains("width:224px") && html.contains("width:400px") && html.contains("image-rendering:pixelated")
        );
        assert!(html.contains("a &lt;b&gt;") && html.contains("class=\"fl-row\"") && !html.contains("<b>"));
        assert!(display.metadata().is_empty());
    }

    #[test]
    fn a_page_holds_its_picture_and_its_style() {
        let display = Display::picture("words", "images", picture(28, 28)).on(&Page::new().head("a", "b"));
        assert_eq!(kinds(&display), ["text/plain", "text/html", "image/png"]);
        let html = display.page().unwrap().unwrap();
        assert!(html.starts_with("<div class=\"fl\"><style>") && html.trim_end().ends_with("</div>"));
        assert!(html.find("<b>a</b>").unwrap() < html.find("<img").unwrap());
    }

    #[test]
    fn an_animation_is_a_png_that_moves() {
        let animation = Animation::new(vec![picture(28, 14), picture(28, 14)], 1.0).unwrap();
        let display = Display::animation("two frames", "walk", Arc::new(animation));
        assert_eq!(kinds(&display), ["text/plain", "image/png"]);
        assert_eq!(display.metadata()["image/png"]["width"], 224);
        use base64::Engine as _;
        let bundle = display.bundle().unwrap();
        let file = base64::engine::general_purpose::STANDARD.decode(bundle["image/png"].as_str().unwrap()).unwrap();
        let reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        assert_eq!((reader.info().animation_control().unwrap().num_frames, reader.info().width), (2, 224));
    }

    #[test]
    fn a_chart_comes_in_lines_on_white_and_at_half_the_size_of_its_pixels() {
        let line = figure::Series::new("d", vec![(0.0, 1.0), (1.0, 2.0)]);
        let chart = figure::curves(&[line], &figure::Curves::default()).unwrap();
        let display = Display::chart("a chart", "curves", &chart).unwrap();
        assert_eq!(kinds(&display), ["text/plain", "image/svg+xml", "image/png"]);
        let bundle = display.bundle().unwrap();
        let svg = bundle["image/svg+xml"].as_str().unwrap();
        assert!(
            svg.starts_with("<svg ") && svg.contains("><rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>"),
            "{svg}"
        );
        let (width, height) = chart.size();
        assert_eq!(
            Value::Object(display.metadata()),
            json!({ "image/png": { "width": width as u64, "height": height as u64 } })
        );
    }

    #[test]
    fn columns_of_numbers_stand_to_the_right() {
        let rows = vec![vec!["a".into(), "1".into()], vec!["bcd".into(), "20".into()]];
        assert_eq!(table(&["name", "n"], &rows), "name   n\na      1\nbcd   20");
    }

    #[test]
    fn values_inside_values_are_shown_short() {
        let mut map = Map::new();
        map.insert("a".into(), Dynamic::from_array(vec![1_i64.into(), 2.5.into(), "x".into(), Dynamic::UNIT]));
        assert_eq!(short(&Dynamic::from_map(map)), "#{a: [1, 2.5, \"x\", ()]}");
    }
}
