//! GANs and what they generate.

use std::sync::Arc;

use crate::options::Settings as _;
use crate::script::bind::{Gan, Network, Samples};
use crate::script::display::{Display, Show};
use crate::script::page::{self, Page};
use crate::script::show::grid;
use crate::script::show::history::{charts, marks};
use crate::script::show::nn::Layers;

/// Options that say what a GAN is.
const OPTIONS: &[&str] =
    &["loss", "penalty", "self_supervision", "labels", "batch", "g_lr", "d_lr", "d_steps", "ema", "seed"];

impl Show for Gan {
    const NAME: &'static str = "Gan";

    fn short(&self) -> String {
        match self.held() {
            Ok(gan) => {
                format!("a GAN trained by {} for {} steps on {}", gan.options.method, gan.step(), self.data.name())
            }
            Err(_) => "a GAN in training".into(),
        }
    }

    fn full(&self) -> Display {
        let kept = self.history.kept();
        let curves = charts(&kept).into_iter().map(|chart| Page::new().chart(&chart));
        let Ok(gan) = self.held() else {
            let text = format!("a GAN in training, after step {}", kept.step);
            return Display::text(&text).on(&Page::new().head(&text, "").row(curves));
        };
        let (generator, discriminator) = (
            Network::generator(Arc::clone(gan.generator())).short(),
            Network::discriminator(Arc::clone(gan.discriminator())).short(),
        );
        let classifier = gan.classifier().map(|network| network.encoder.store());
        let layers: Vec<(&str, Layers)> =
            [("generator", gan.generator().store()), ("discriminator", gan.discriminator().store())]
                .into_iter()
                .chain(classifier.map(|store| ("classifier", store)))
                .map(|(name, store)| (name, Layers::of(store)))
                .collect();
        // What was changed since the last training has no mark yet.
        let unmarked = gan.changes_since_training().iter().map(ToString::to_string);
        let changes: Vec<String> = marks(&kept).into_iter().chain(unmarked).collect();
        let best =
            gan.best_score().map(|best| format!("{} {} at step {}", best.score, super::rounded(best.value), best.step));
        let options = gan.options.clone();
        let step = gan.step();
        drop(gan);

        let mut lines = vec![self.short(), format!("  {generator}"), format!("  {discriminator}")];
        lines.extend(kept.lines.iter().map(|line| format!("  {} {}", line.name, super::rounded(line.last))));
        lines.extend(kept.scores.iter().map(|line| format!("  {} {}", line.name, super::rounded(line.last))));
        lines.extend(best.iter().map(|best| format!("  best: {best}")));
        lines.extend(changes.iter().map(|change| format!("  {change}")));

        let head = format!("{} steps on {}", page::count(step as usize), self.data.name());
        let mut facts: Vec<(&str, String)> = vec![("generator", generator), ("discriminator", discriminator)];
        let said: Vec<String> =
            OPTIONS.iter().filter_map(|name| Some(format!("{name} {}", plain(&options.get(name)?)))).collect();
        facts.push(("options", said.join(" · ")));
        let last: Vec<String> =
            kept.lines.iter().map(|line| format!("{} {}", line.name, super::rounded(line.last))).collect();
        if !last.is_empty() {
            facts.push(("last step", last.join(" · ")));
        }
        let scores: Vec<String> =
            kept.scores.iter().map(|line| format!("{} {}", line.name, super::rounded(line.last))).collect();
        if !scores.is_empty() {
            facts.push(("last scores", scores.join(" · ")));
        }
        facts.extend(best.map(|best| ("best", best)));
        if !changes.is_empty() {
            facts.push(("on the way", changes.join(" · ")));
        }
        let page = Page::new().head(&format!("GAN, {}", options.method), &head).facts(facts).row(curves);
        let page = layers.into_iter().fold(page, |page, (name, layers)| {
            page.folded(&format!("layers of the {name}: {}", layers.weight()), Page::new().table(&layers.table()))
        });
        let text = lines.join("\n");
        match kept.picture {
            Some((at, picture)) => {
                Display::picture(text, "samples", picture).on(&page.line(&format!("samples after step {at}")))
            }
            None => Display::text(text).on(&page),
        }
    }
}

/// An option as words.
fn plain(value: &crate::options::Value) -> String {
    value.to_string().trim_matches('"').to_string()
}

impl Show for Samples {
    const NAME: &'static str = "Samples";

    fn short(&self) -> String {
        let shape = self.0.images.shape();
        format!("{} generated images of {}x{}x{}", self.0.images.n(), shape.channels, shape.height, shape.width)
    }

    fn full(&self) -> Display {
        match grid(&self.0.images, 0) {
            Ok(picture) => Display::picture(self.short(), "samples", picture),
            Err(_) => Display::text(self.short()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::script::show::testing::{kinds, shown};

    const TINY: &str = "let small = data::load(\"fashion-mnist-10k\").train.take(64);
        let options = #{ steps: 3, batch: 8, generator: \"sndcgan\", discriminator: \"sndcgan\", g_channels: 16, \
        d_channels: 16, standing_batches: 1, sample_every: 2 };";

    #[test]
    fn a_gan_shows_how_it_trained_and_what_it_makes() {
        let gan = shown(&format!("{TINY} let gan = gan::train(small, options); gan.set(#{{ d_lr: 1e-4 }}); gan"));
        assert!(
            gan.text.starts_with("a GAN trained by biggan for 3 steps on fashion-mnist-10k/train\n"),
            "{}",
            gan.text
        );
        assert!(gan.text.contains("\n  d_loss ") && gan.text.ends_with("after step 3: d_lr = 1e-4"), "{}", gan.text);
        let bundle = gan.bundle().unwrap();
        let page = bundle["text/html"].as_str().unwrap();
        assert!(
            page.contains("<b>GAN, biggan</b>") && page.contains("3 steps on") && page.contains("loss hinge"),
            "{page}"
        );
        assert!(page.contains("<svg ") && page.contains(">g loss</text>") && page.contains("samples after step 3"));
        assert!(page.contains("layers of the generator: ") && page.contains("after step 3: d_lr = 1e-4"));
        // The samples are a picture of their own for a page without HTML.
        assert_eq!(page.matches("<img ").count(), 1);
        assert!(bundle.contains_key("image/png"));
    }

    #[test]
    fn a_copy_has_the_past_of_its_original_and_a_future_of_its_own() {
        let script = "let one = gan::train(small, options); let two = one.clone(); two.train(#{ steps: 2 });
            [one.history[\"d_loss\"].len(), two.history[\"d_loss\"].len()]";
        assert_eq!(shown(&format!("{TINY} {script}")).text, "[3, 5]");
    }

    #[test]
    fn samples_are_a_picture() {
        let samples = shown(&format!("{TINY} gan::train(small, options).sample(4)"));
        assert_eq!(samples.text, "4 generated images of 1x28x28");
        assert_eq!(kinds(&samples), ["text/plain", "image/png"]);
    }
}
