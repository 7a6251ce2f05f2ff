//! The extractors that an evaluation can be asked for by name.

use std::path::Path;
use std::sync::Arc;

use super::cache::Cache;
use super::clip::Clip;
use super::dinov2::DinoV2;
use super::evaluate::EvaluateOptions;
use super::extractor::Extractor;
use super::inception::Inception;
use super::judge::Judge;
use super::squeezenet::SqueezeNet;
use crate::error::{Error, Result};
use crate::table::{self, Row};
use crate::tensor::Device;

/// An extractor, as one row of [`EXTRACTORS`].
pub struct ExtractorRow {
    name: &'static str,
    doc: &'static str,
    open: fn(&Sight<'_>) -> Result<Arc<dyn Extractor>>,
}

/// What extractors are opened with.
pub struct Sight<'a> {
    /// Which extractors, and where their weights are.
    pub options: &'a EvaluateOptions,
    /// A classifier of the data set, if there is one.
    pub judge: Option<Arc<Judge>>,
    /// Where they compute.
    pub device: &'a Device,
    /// Where weights are looked for.
    pub cache: &'a Cache,
}

impl Row for ExtractorRow {
    const KIND: &'static str = "extractor";
    fn name(&self) -> &'static str {
        self.name
    }
    fn doc(&self) -> &'static str {
        self.doc
    }
}

/// Every extractor, in the order the manual lists them.
pub const EXTRACTORS: &[ExtractorRow] = &[SQUEEZENET, JUDGE, INCEPTION, DINOV2, CLIP];

const SQUEEZENET: ExtractorRow = ExtractorRow {
    name: "squeezenet",
    doc: "SqueezeNet 1.1 inside the program, trained on ImageNet: 512 features of images at 64 pixels.\n\n\
          Fast, and the same everywhere. Iandola et al. 2016, arXiv:1602.07360.",
    open: |sight| Ok(Arc::new(SqueezeNet::new(sight.device)?)),
};

const JUDGE: ExtractorRow = ExtractorRow {
    name: "judge",
    doc: "The classifier given as `judge`: its features, and what it predicts of the data set's classes.\n\n\
          It sees what matters for the data set, also where that is unlike photographs. Features of the data set's own \
          classifier: Shmelkov et al. 2018, arXiv:1807.09499.",
    open: |sight| match &sight.judge {
        Some(judge) => Ok(Arc::clone(judge) as Arc<dyn Extractor>),
        None => Err(Error::new("the extractor `judge` was asked for and no `judge` was given")
            .help("train one with `metric::judge(data.train)` and give it as `judge`")),
    },
};

const INCEPTION: ExtractorRow = ExtractorRow {
    name: "inception",
    doc: "The InceptionV3 network of 2015-12-05 by which papers report FID, KID and Inception score: 2048 features, 1008 logits.\n\n\
          Its weights come from a file that the option `inception` names, or that lies in the folder `fewlab doctor` shows. \
          Szegedy et al. 2016, arXiv:1512.00567.",
    open: |sight| {
        let path = match &sight.options.inception {
            Some(path) => Path::new(path).to_path_buf(),
            None => Inception::find(sight.cache)?,
        };
        Ok(Arc::new(Inception::open(&path, sight.options.logit_bias, sight.device)?))
    },
};

const DINOV2: ExtractorRow = ExtractorRow {
    name: "dinov2",
    doc: "DINOv2's vision transformer with patches of 14 pixels, which learned without labels: the features of its class token.\n\n\
          The file that the option `dinov2` names says how large it is: small (384 features), base (768) or large (1024). `fd` by \
          it is the FD-DINOv2, which follows people's judgement better than the FID. Oquab et al. 2023, arXiv:2304.07193; Stein \
          et al. 2023, arXiv:2306.04675.",
    open: |sight| match &sight.options.dinov2 {
        Some(path) => Ok(Arc::new(DinoV2::open(Path::new(path), sight.device)?)),
        None => Err(Error::new("the extractor `dinov2` was asked for and its file was not named")
            .help("give `dinov2: \"dinov2_vits14_pretrain.pth\"`, from github.com/facebookresearch/dinov2")),
    },
};

const CLIP: ExtractorRow = ExtractorRow {
    name: "clip",
    doc: "CLIP's vision transformer, which learned from photographs and the words beside them: its embedding of an image.\n\n\
          The file that the option `clip` names says which: ViT-B/32 (512 features) or ViT-L/14 with 336 pixels (768), by which \
          `cmmd` is published. Radford et al. 2021, arXiv:2103.00020.",
    open: |sight| match &sight.options.clip {
        Some(path) => Ok(Arc::new(Clip::open(Path::new(path), sight.device)?)),
        None => Err(Error::new("the extractor `clip` was asked for and its file was not named")
            .help("give `clip: \"model.safetensors\"`, of `openai/clip-vit-large-patch14-336` at Hugging Face")),
    },
};

impl Sight<'_> {
    /// The extractors that the options name; without names the one in the program, the `judge` if there is one, and the
    /// Inception network if its file is named or `metrics` has the FID, DINOv2 if its file is named, CLIP if its file is named
    /// or `metrics` has CMMD.
    ///
    /// # Errors
    /// An unknown name; weights that are not there or do not fit.
    pub fn extractors(&self, metrics: &[&str]) -> Result<Vec<Arc<dyn Extractor>>> {
        let mut names: Vec<&str> = self.options.extractor.iter().map(String::as_str).collect();
        if names.is_empty() {
            names.push("squeezenet");
            if self.judge.is_some() {
                names.push("judge");
            }
            if self.options.inception.is_some() || metrics.contains(&"fid") {
                names.push("inception");
            }
            if self.options.dinov2.is_some() {
                names.push("dinov2");
            }
            if self.options.clip.is_some() || metrics.contains(&"cmmd") {
                names.push("clip");
            }
        }
        let mut rows: Vec<&ExtractorRow> = Vec::new();
        for name in names {
            let row = table::find(EXTRACTORS, name)?;
            if rows.iter().any(|known| known.name == row.name) {
                return Err(Error::new(format!("the extractor `{name}` is named twice")));
            }
            rows.push(row);
        }
        rows.into_iter().map(|row| (row.open)(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extractors_are_chosen_by_name_or_by_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::at(folder.path());
        let names = |options: &EvaluateOptions, metrics: &[&str]| {
            let sight = Sight { options, judge: None, device: &Device::Cpu, cache: &cache };
            let found = sight.extractors(metrics)?;
            Ok::<_, Error>(found.iter().map(|by| by.name().to_string()).collect::<Vec<_>>())
        };
        let plain = EvaluateOptions::default();
        assert_eq!(names(&plain, &["fd"]).unwrap(), ["SqueezeNet 1.1, 64 px"]);
        let error = names(&plain, &["fid"]).unwrap_err();
        assert!(error.message.starts_with("the weights of the Inception network are not in `"), "{error}");
        assert!(error.help.unwrap().contains("weights-inception-2015-12-05-6726825d.pth"));
        let named = |extractor: &[&str]| EvaluateOptions {
            extractor: extractor.iter().map(ToString::to_string).collect(),
            ..EvaluateOptions::default()
        };
        let error = names(&named(&["squeezenets"]), &["fd"]).unwrap_err();
        assert_eq!(error.message, "there is no extractor `squeezenets`");
        let error = names(&named(&["squeezenet", "squeezenet"]), &["fd"]).unwrap_err();
        assert_eq!(error.message, "the extractor `squeezenet` is named twice");
        let error = names(&named(&["judge"]), &["fd"]).unwrap_err();
        assert_eq!(error.message, "the extractor `judge` was asked for and no `judge` was given");
        let error = names(&named(&["dinov2"]), &["fd"]).unwrap_err();
        assert_eq!(error.message, "the extractor `dinov2` was asked for and its file was not named");
        let error = names(&plain, &["cmmd"]).unwrap_err();
        assert_eq!(error.message, "the extractor `clip` was asked for and its file was not named");
        let missing = EvaluateOptions { inception: Some("nowhere.pth".into()), ..EvaluateOptions::default() };
        assert!(names(&missing, &["fd"]).unwrap_err().message.starts_with("cannot read `nowhere.pth`"));
    }
}
