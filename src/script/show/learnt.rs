//! What was learnt before a GAN: features, labellers, judges.

use crate::metric::Extractor as _;
use crate::nn::Classifier;
use crate::script::bind::{Features, Judge, Labeller};
use crate::script::display::{Display, Show};
use crate::script::history::History;
use crate::script::page::Page;
use crate::script::show::history::charts;
use crate::script::show::nn::Layers;

/// A trained classifier: what it is, how its training went, what it is made of.
fn classifier(what: &str, short: String, classifier: &Classifier, history: &History, classes: &[String]) -> Display {
    let encoder = &classifier.encoder;
    let layers = Layers::of(encoder.store());
    let mut facts =
        vec![("network", format!("{}, {}", encoder.name(), layers.weight())), ("features", encoder.dim().to_string())];
    if !classes.is_empty() {
        facts.push(("classes", classes.join(", ")));
    }
    let kept = history.kept();
    let last: Vec<String> =
        kept.lines.iter().map(|line| format!("{} {}", line.name, super::rounded(line.last))).collect();
    if !last.is_empty() {
        facts.push(("last step", last.join(" · ")));
    }
    let mut text = short.clone();
    for (name, fact) in &facts {
        text.push_str(&format!("\n  {name}: {fact}"));
    }
    let curves = charts(&kept).into_iter().map(|chart| Page::new().chart(&chart));
    let page = Page::new()
        .head(what, &short)
        .facts(facts)
        .row(curves)
        .folded(&format!("layers of {}", encoder.name()), Page::new().table(&layers.table()));
    Display::text(text).on(&page)
}

impl Show for Features {
    const NAME: &'static str = "Features";

    fn short(&self) -> String {
        let encoder = &self.learnt.classifier.encoder;
        format!("{} features of {}, learnt by {}", encoder.dim(), encoder.name(), self.learnt.task.name)
    }

    fn full(&self) -> Display {
        classifier("features", self.short(), &self.learnt.classifier, &self.history, &[])
    }
}

impl Show for Labeller {
    const NAME: &'static str = "Labeller";

    fn short(&self) -> String {
        format!("a labeller of {} classes, trained by {}", self.trained.classes().len(), self.trained.name)
    }

    fn full(&self) -> Display {
        let classes = self.trained.classes();
        classifier("labeller", self.short(), &self.trained.classifier, &self.history, classes)
    }
}

impl Show for Judge {
    const NAME: &'static str = "Judge";

    fn short(&self) -> String {
        format!("{}, {} classes", self.0.name(), self.0.classes().unwrap_or(0))
    }

    fn full(&self) -> Display {
        let facts = [("features", self.0.dim().to_string()), ("hash", self.0.hash().chars().take(16).collect())];
        Display::text(self.short()).on(&Page::new().head("judge", &self.short()).facts(facts))
    }
}

#[cfg(test)]
mod tests {
    use crate::script::show::testing::shown;

    const FEATURES: &str = "let data = data::load(\"fashion-mnist-10k\");
        let known = data.train.take(64).keep_labels(0.5);
        let features = ssl::rotation(known, #{ network: \"resnet-tiny\", epochs: 1, batch: 32 });";

    #[test]
    fn features_show_how_they_were_learnt() {
        let features = shown(&format!("{FEATURES} features"));
        assert!(
            features.text.starts_with("64 features of resnet-tiny, learnt by rotation\n  network: resnet-tiny, "),
            "{}",
            features.text
        );
        let page = features.page().unwrap().unwrap();
        assert!(page.contains("<b>features</b>") && page.contains("layers of resnet-tiny"));
        // The loss and the accuracy, each in a chart.
        assert_eq!(page.matches("<svg ").count(), 2);
    }

    #[test]
    fn a_labeller_shows_its_classes() {
        let labeller = shown(&format!("{FEATURES} label::linear_probe(features, known, #{{ steps: 3, batch: 16 }})"));
        let page = labeller.page().unwrap().unwrap();
        assert!(
            page.contains("<span>classes</span><span>T-shirt/top, ") && page.contains("trained by linear_probe"),
            "{page}"
        );
        assert!(labeller.text.contains("\n  last step: loss "), "{}", labeller.text);
    }
}
