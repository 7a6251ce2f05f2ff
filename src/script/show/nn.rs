//! Networks, layers, parameters and optimisers: tables of layers with what they weigh.

use crate::nn::{Layer, Param, Store};
use crate::script::bind::{Network, Training};
use crate::script::display::{self, Display, Show};
use crate::script::page::{self, Cell, Page, Table};

/// Layers beyond which a table is cut.
const LAYERS: usize = 80;

/// A layer as a row of a table.
struct Row {
    name: String,
    /// What it does, if that is known.
    does: String,
    /// Its parameters with their shapes.
    shapes: String,
    /// How many numbers it trains.
    count: usize,
}

/// The layers of a network, with their parameters.
pub(super) struct Layers {
    rows: Vec<Row>,
    count: usize,
    bytes: usize,
    does: bool,
}

impl Layers {
    /// Parameters that belong together by their names: `block1.conv1.weight` and `block1.conv1.bias`.
    pub(super) fn of(store: &Store) -> Self {
        let mut rows: Vec<Row> = Vec::new();
        let params = store.params();
        let names: Vec<&str> = params.iter().map(|param| layer_of(param.name()).0).collect();
        let lead = common(&names);
        for param in &params {
            let name = layer_of(param.name()).0;
            let name = name.strip_prefix(lead.as_str()).unwrap_or(name);
            let at = rows.iter().position(|row| row.name == name).unwrap_or_else(|| {
                rows.push(Row { name: name.into(), does: String::new(), shapes: String::new(), count: 0 });
                rows.len() - 1
            });
            rows[at].add(param);
        }
        Self::new(rows, store, false)
    }

    /// The layers of a script's own network, those without parameters among them.
    fn sequential(layers: &[Layer], store: &Store) -> Self {
        let mut rows: Vec<Row> = layers
            .iter()
            .enumerate()
            .map(|(i, layer)| Row { name: i.to_string(), does: layer.short(), shapes: String::new(), count: 0 })
            .collect();
        for param in store.params() {
            let place = param.name().strip_prefix("layer").and_then(|name| name.split('.').next()?.parse().ok());
            if let Some(row) = place.and_then(|place: usize| rows.get_mut(place)) {
                row.add(&param);
            }
        }
        Self::new(rows, store, true)
    }

    fn new(rows: Vec<Row>, store: &Store, does: bool) -> Self {
        let size = |param: &Param| param.dims().iter().product::<usize>() * param.value().dtype().size_in_bytes();
        Self { rows, count: store.count(), bytes: store.params().iter().map(size).sum(), does }
    }

    /// `1 234 567 parameters, 4.7 MB`.
    pub(super) fn weight(&self) -> String {
        let bytes = self.bytes as f64;
        let size = match bytes {
            _ if bytes >= 1e6 => format!("{} MB", figure_of(bytes / 1e6)),
            _ if bytes >= 1e3 => format!("{} kB", figure_of(bytes / 1e3)),
            _ => format!("{bytes} bytes"),
        };
        format!("{} parameters, {size}", page::count(self.count))
    }

    fn left_out(&self) -> Option<String> {
        let rest = self.rows.len().saturating_sub(LAYERS);
        (rest > 0).then(|| format!("and {rest} more layers"))
    }

    fn text(&self) -> String {
        let rows: Vec<Vec<String>> = self
            .rows
            .iter()
            .take(LAYERS)
            .map(|row| {
                let does = self.does.then(|| row.does.clone());
                let count = if row.count > 0 { row.count.to_string() } else { String::new() };
                std::iter::once(row.name.clone()).chain(does).chain([count, row.shapes.clone()]).collect()
            })
            .collect();
        let mut text = display::table(&self.header(), &rows);
        if let Some(rest) = self.left_out() {
            text.push_str(&format!("\n{rest}"));
        }
        text
    }

    fn header(&self) -> Vec<&'static str> {
        let does = self.does.then_some("what it does");
        std::iter::once("layer").chain(does).chain(["numbers", "parameters"]).collect()
    }

    pub(super) fn table(&self) -> Table {
        let mut header = self.header();
        header.insert(header.len() - 1, "");
        let mut table = Table::new(&header);
        let most = self.rows.iter().map(|row| row.count).max().unwrap_or(0).max(1);
        for row in self.rows.iter().take(LAYERS) {
            let mut cells = vec![Cell::from(row.name.as_str())];
            cells.extend(self.does.then(|| Cell::from(row.does.as_str())));
            cells.extend(match row.count {
                0 => [Cell::Empty, Cell::Empty],
                count => [count.into(), Cell::Bar(count as f64 / most as f64)],
            });
            cells.push(row.shapes.as_str().into());
            table.row(cells);
        }
        let mut total = vec![Cell::from("all")];
        total.extend(self.does.then_some(Cell::Empty));
        total.extend([self.count.into(), Cell::Empty, Cell::Empty]);
        table.total(total);
        if let Some(rest) = self.left_out() {
            table.more(rest);
        }
        table
    }
}

impl Row {
    fn add(&mut self, param: &Param) {
        let what = layer_of(param.name()).1;
        let gap = if self.shapes.is_empty() { "" } else { ", " };
        self.shapes.push_str(&format!("{gap}{what} {:?}", param.dims()));
        self.count += param.dims().iter().product::<usize>();
    }
}

/// The layer that a parameter belongs to, and what it is there.
fn layer_of(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or(("", name))
}

/// What all names begin with, up to a point: `generator.`.
fn common(names: &[&str]) -> String {
    let first = names.first().and_then(|name| name.split_once('.')).map_or("", |(first, _)| first);
    let lead = format!("{first}.");
    if !first.is_empty() && names.iter().all(|name| name.starts_with(&lead)) { lead } else { String::new() }
}

/// Two digits that count.
fn figure_of(number: f64) -> String {
    if number >= 9.95 { format!("{number:.0}") } else { format!("{number:.1}") }
}

impl Show for Network {
    const NAME: &'static str = "Network";

    fn short(&self) -> String {
        format!("{}, {} parameters", self.kind(), self.store().count())
    }

    fn full(&self) -> Display {
        let layers = match self.layers() {
            Some(layers) => Layers::sequential(layers, self.store()),
            None => Layers::of(self.store()),
        };
        let mode = if self.is_training() { "in training" } else { "as at evaluation" };
        let head = format!("{}, {mode}", layers.weight());
        let page = Page::new().head(&self.kind(), &head).table(&layers.table());
        Display::text(format!("{}: {head}\n{}", self.kind(), layers.text())).on(&page)
    }
}

impl Show for Layer {
    const NAME: &'static str = "Layer";

    fn short(&self) -> String {
        match self {
            Layer::Conv { inputs, outputs, kernel_size, stride, .. } => {
                format!("conv {inputs} to {outputs}, {kernel_size}x{kernel_size}, stride {stride}")
            }
            Layer::ConvTranspose { inputs, outputs, kernel_size, stride, .. } => {
                format!("transposed conv {inputs} to {outputs}, {kernel_size}x{kernel_size}, stride {stride}")
            }
            Layer::Linear { inputs, outputs, .. } => format!("linear {inputs} to {outputs}"),
            Layer::BatchNorm { channels } => format!("batch norm of {channels}"),
            Layer::LeakyRelu(slope) => format!("leaky relu {slope}"),
            Layer::Reshape(shape) => format!("reshape {shape:?}"),
            Layer::AvgPool(size) => format!("average pool {size}"),
            Layer::GlobalMean => "global mean".into(),
            Layer::Upsample(factor) => format!("upsample {factor}"),
            plain => format!("{plain:?}").to_lowercase(),
        }
    }
}

impl Show for Param {
    const NAME: &'static str = "Parameter";

    fn short(&self) -> String {
        format!("the parameter `{}` {:?}", self.name(), self.dims())
    }

    fn full(&self) -> Display {
        let value = self.value().full();
        let text = format!("{}\n{}", self.short(), value.text);
        let page = Page::new().line(&self.short());
        let html = value.html.map(|html| format!("{}{html}", page.body()));
        Display { text, html, ..value }
    }
}

impl Show for Training {
    const NAME: &'static str = "Optimiser";

    fn short(&self) -> String {
        let held = self.held();
        format!("an optimiser of {} parameters, learning rate {}", held.params().len(), held.lr())
    }

    fn full(&self) -> Display {
        let shown = self.history.full();
        match shown.html {
            None => Display::text(self.short()),
            Some(html) => {
                let page = Page::new().line(&self.short());
                Display {
                    text: format!("{}\n{}", self.short(), shown.text),
                    html: Some(format!("{}{html}", page.body())),
                    ..shown
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gan::{Blueprint, Generator};
    use crate::nn::{Init, Make, NormKind, Sequential};
    use crate::tensor::Device;
    use std::sync::Arc;

    #[test]
    fn a_network_of_layers_shows_all_of_them() {
        let make = Make::plain(Init::Glorot);
        let layers = [Layer::Flatten, Layer::Linear { inputs: 784, outputs: 10, make }, Layer::Relu];
        let network = Network::sequential(Arc::new(Sequential::new(&layers, 1, &Device::Cpu).unwrap()));
        let shown = network.full();
        assert_eq!(
            shown.text,
            "3 layers: 7850 parameters, 31 kB, in training\n\
             layer  what it does      numbers  parameters\n    \
                 0  flatten\n    \
                 1  linear 784 to 10     7850  weight [10, 784], bias [10]\n    \
                 2  relu"
        );
        let page = shown.page().unwrap().unwrap();
        assert!(page.contains("<td>linear 784 to 10</td><td class=\"fl-n\">7850</td>"), "{page}");
        assert!(page.contains("<tr class=\"fl-total\"><td>all</td><td></td><td class=\"fl-n\">7850</td>"), "{page}");
    }

    #[test]
    fn the_parameters_of_a_layer_stand_in_one_row() {
        let blueprint =
            Blueprint { colours: 1, size: 28, z_dim: 8, channels: 16, norm: NormKind::Batch, ..Blueprint::default() };
        let generator = Arc::new(Generator::new("sndcgan", &blueprint, 1, &Device::Cpu).unwrap());
        let layers = Layers::of(generator.store());
        assert_eq!(layers.rows.iter().map(|row| row.count).sum::<usize>(), generator.store().count());
        assert!(layers.rows.iter().all(|row| !row.name.starts_with("generator.")));
        assert!(layers.rows.iter().any(|row| row.shapes.contains("weight [") && row.shapes.contains(", bias [")));
        let shown = Network::generator(generator).full();
        assert!(shown.text.starts_with("the generator of sndcgan: "), "{}", shown.text);
        assert!(shown.page().unwrap().unwrap().contains("<b>the generator of sndcgan</b>"));
    }

    #[test]
    fn names_lose_what_they_all_begin_with() {
        assert_eq!(common(&["generator.a", "generator.b.c"]), "generator.");
        assert_eq!(common(&["generator.a", "other.b"]), "");
        assert_eq!(common(&["stem", "stem"]), "");
        assert_eq!(common(&[]), "");
    }
}
