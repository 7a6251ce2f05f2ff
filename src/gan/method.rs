//! The methods of "High-Fidelity Image Generation With Fewer Labels", each a few settings.

use crate::gan::TrainOptions;
use crate::gan::options::Labels;
use crate::nn::NormKind;
use crate::table::Row;

/// A named set of training options.
pub struct Method {
    /// What a script calls it.
    pub name: &'static str,
    /// Its manual entry.
    pub doc: &'static str,
    /// Changes the default options into the method's.
    pub apply: fn(&mut TrainOptions),
}

impl Row for Method {
    const KIND: &'static str = "method";
    fn name(&self) -> &'static str {
        self.name
    }
    fn doc(&self) -> &'static str {
        self.doc
    }
}

/// Every method, in the order the manual lists them.
pub const METHODS: &[Method] = &[
    BIGGAN,
    BIGGAN_LABELLED_ONLY,
    SINGLE_LABEL,
    SINGLE_LABEL_SS,
    RANDOM_LABEL,
    CLUSTERING,
    CLUSTERING_SS,
    S2GAN,
    S2GAN_SOFT,
    S3GAN,
    S2GAN_CO,
    S3GAN_CO,
    SSGAN,
    ROTATION_ONLY,
    OSSGAN,
    TRIPLE_GAN,
];

fn rotate(options: &mut TrainOptions) {
    options.self_supervision = "rotation".into();
}

/// Labels that the discriminator infers while it trains.
fn infer(options: &mut TrainOptions) {
    options.labels = Labels::Known;
    options.predictor = true;
}

const BIGGAN: Method = Method {
    name: "biggan",
    doc: "A conditional GAN on the labels that are given; images without one are left out.\n\n\
          Conditional batch norm in the generator, projection in the discriminator, hinge loss. Give it all labels, \
          `data.train`, or any others.   Brock et al. 2018, arXiv:1809.11096.",
    apply: |_| {},
};

const BIGGAN_LABELLED_ONLY: Method = Method {
    name: "biggan_labelled_only",
    doc: "`biggan` on the images whose label was kept, and on no others.\n\n\
          Give it a set with some labels kept, `data.train.keep_labels(0.1)`; what a labeller inferred is not looked at.   \
          The BigGAN-k% of Lucic et al. 2019, arXiv:1903.02271.",
    apply: |options| options.labels = Labels::Known,
};

const SINGLE_LABEL: Method = Method {
    name: "single_label",
    doc: "The same GAN with one label for every image: what is left without labels.\n\n\
          Any set will do.   Lucic et al. 2019, arXiv:1903.02271, section 4.",
    apply: |options| options.labels = Labels::Single,
};

const SINGLE_LABEL_SS: Method = Method {
    name: "single_label_ss",
    doc: "`single_label` whose discriminator also tells by how many quarter turns an image was turned.\n\n\
          Any set will do.   Lucic et al. 2019, arXiv:1903.02271, section 4.",
    apply: |options| {
        options.labels = Labels::Single;
        rotate(options);
    },
};

const RANDOM_LABEL: Method = Method {
    name: "random_label",
    doc: "The same GAN with a label drawn for each image, whatever it shows.\n\n\
          Any set with classes will do; their number counts. An image keeps its label.   Lucic et al. 2019, arXiv:1903.02271, \
          section 4.",
    apply: |options| options.labels = Labels::Random,
};

const CLUSTERING: Method = Method {
    name: "clustering",
    doc: "A conditional GAN on the clusters of learnt features, without a label.\n\n\
          Give it clusters, `label::cluster(features, known)`. Fakes have the clusters of the real images of their batch, since \
          clusters differ in size.   Lucic et al. 2019, arXiv:1903.02271, section 3.1.",
    apply: |options| options.fit_label_distribution = true,
};

const CLUSTERING_SS: Method = Method {
    name: "clustering_ss",
    doc: "`clustering` whose discriminator also tells by how many quarter turns an image was turned.\n\n\
          Give it clusters, `label::cluster(features, known)`.   Lucic et al. 2019, arXiv:1903.02271, section 4.",
    apply: |options| {
        options.fit_label_distribution = true;
        rotate(options);
    },
};

const S2GAN: Method = Method {
    name: "s2gan",
    doc: "A conditional GAN on labels that a semi-supervised labeller inferred.\n\n\
          The same training as `biggan`; give it the labeller's labels, `labeller.label(known)`.   Lucic et al. 2019, arXiv:1903.02271.",
    apply: |_| {},
};

const S2GAN_SOFT: Method = Method {
    name: "s2gan_soft",
    doc: "`s2gan` on how likely the labeller found each class, in place of the likeliest one.\n\n\
          Give it the labeller's labels, `labeller.label(known)`. The discriminator sees the soft rows, the generator classes \
          drawn evenly.   Lucic et al. 2019, arXiv:1903.02271, section 4.",
    apply: |options| options.labels = Labels::Soft,
};

const S3GAN: Method = Method {
    name: "s3gan",
    doc: "`s2gan` whose discriminator also tells by how many quarter turns an image was turned.\n\n\
          Give it the labeller's labels, `labeller.label(known)`. D: adds 1.0 times the rotation loss of real images; G: 0.2 \
          times that of its own.   Lucic et al. 2019, arXiv:1903.02271.",
    apply: rotate,
};

const S2GAN_CO: Method = Method {
    name: "s2gan_co",
    doc: "A conditional GAN whose discriminator infers the missing labels while it trains.\n\n\
          Give it a set with some labels kept, `data.train.keep_labels(0.1)`. A linear head on the discriminator's features learns \
          the classes of labelled images; an unlabelled one counts as the class that the head finds likeliest, through which no \
          gradient goes.   Lucic et al. 2019, arXiv:1903.02271, section 3.2.",
    apply: infer,
};

const S3GAN_CO: Method = Method {
    name: "s3gan_co",
    doc: "`s2gan_co` whose discriminator also tells by how many quarter turns an image was turned.\n\n\
          Give it a set with some labels kept, `data.train.keep_labels(0.1)`.   Lucic et al. 2019, arXiv:1903.02271, section 3.3.",
    apply: |options| {
        infer(options);
        rotate(options);
    },
};

const SSGAN: Method = Method {
    name: "ssgan",
    doc: "An unconditional GAN whose discriminator also tells by how many quarter turns an image was turned.\n\n\
          Any set will do. The generator has plain batch norm, the discriminator no projection.   Chen et al. 2018, arXiv:1811.11212.",
    apply: |options| {
        options.labels = Labels::Single;
        options.g_norm = NormKind::Batch;
        rotate(options);
    },
};

const ROTATION_ONLY: Method = Method {
    name: "rotation_only",
    doc: "`ssgan` without telling real from fake: the discriminator learns rotation alone, and the generator to be told.\n\n\
          Any set will do. What `ssgan` is compared with to see what its features owe to the GAN.   Chen et al. 2018, \
          arXiv:1811.11212, section 5.",
    apply: |options| {
        (SSGAN.apply)(options);
        options.self_supervision = "rotation_only".into();
    },
};

const OSSGAN: Method = Method {
    name: "ossgan",
    doc: "`s2gan_co` on soft predictions, whose predictor is kept unsure of images that are of no class.\n\n\
          Give it a set with some labels kept, `data.train.keep_labels(0.1)`. The class loss is CE(labelled) + r CE(fake) - (H(real) + \
          r H(fake)): cross-entropies, the entropies of the predictions over the log of the number of classes, and r the share \
          of the batch that has a label.   Katsumata et al. 2022, arXiv:2204.14249; the gradient stops at the predicted labels.",
    apply: |options| {
        infer(options);
        options.soft_prediction = true;
        options.class_loss = "open_set".into();
    },
};

const TRIPLE_GAN: Method = Method {
    name: "triple_gan",
    doc: "A conditional GAN with a third network, a classifier, whose labels of real images the discriminator tells from known ones.\n\n\
          Give it a set with some labels kept, `data.train.keep_labels(0.1)`. D: the loss of (x, y) labelled against (G(z, y), y), \
          averaged with that of (x, y) against (x, c) of any real x with c drawn from C(x). C: the cross-entropy of labelled images, \
          plus `c_adversarial_weight` times the generator's loss at D(x, C(x)), plus, after `c_fake_start` steps, `c_fake_weight` \
          times that of (G(z, y), y). D is given C's probabilities as one row, so that C learns by its gradient and not by REINFORCE: \
          the projection is linear in the row, so under `hinge` and `wasserstein` this is the mean over all classes. \
          `gan.accuracy(data.test)` asks the classifier.   Li et al. 2017, arXiv:1703.02291, without its two regularisers of \
          unlabelled images.",
    apply: |options| {
        options.labels = Labels::Known;
        options.classifier = "resnet-small".into();
    },
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Choice, Settings as _, Value};

    /// What a method changes of the default options.
    fn changed(method: &str) -> Vec<(&'static str, Value)> {
        let (options, defaults) = (crate::gan::method(method).unwrap(), TrainOptions::default());
        let fields = TrainOptions::fields().iter().filter(|field| field.name != "method");
        let changed = fields.filter(|field| options.get(field.name) != defaults.get(field.name));
        changed.map(|field| (field.name, options.get(field.name).unwrap())).collect()
    }

    #[test]
    fn each_method_is_the_few_settings_that_its_paper_has() {
        let text = |text: &str| Value::Text(text.into());
        let labels = |name: &str| ("labels", text(name));
        let (fit, infer) = (("fit_label_distribution", Value::Bool(true)), ("predictor", Value::Bool(true)));
        let rotation = || ("self_supervision", text("rotation"));
        let expected = [
            ("biggan", vec![]),
            ("biggan_labelled_only", vec![labels("known")]),
            ("single_label", vec![labels("single")]),
            ("single_label_ss", vec![labels("single"), rotation()]),
            ("random_label", vec![labels("random")]),
            ("clustering", vec![fit.clone()]),
            ("clustering_ss", vec![fit, rotation()]),
            ("s2gan", vec![]),
            ("s2gan_soft", vec![labels("soft")]),
            ("s3gan", vec![rotation()]),
            ("s2gan_co", vec![labels("known"), infer.clone()]),
            ("s3gan_co", vec![labels("known"), infer.clone(), rotation()]),
            ("ssgan", vec![labels("single"), rotation(), ("g_norm", text("batch_norm"))]),
            (
                "rotation_only",
                vec![labels("single"), ("self_supervision", text("rotation_only")), ("g_norm", text("batch_norm"))],
            ),
            (
                "ossgan",
                vec![labels("known"), infer, ("soft_prediction", Value::Bool(true)), ("class_loss", text("open_set"))],
            ),
            ("triple_gan", vec![labels("known"), ("classifier", text("resnet-small"))]),
        ];
        assert_eq!(
            expected.each_ref().map(|(name, _)| *name),
            METHODS.iter().map(|row| row.name).collect::<Vec<_>>()[..]
        );
        for (name, settings) in expected {
            assert_eq!(changed(name), settings, "{name}");
        }
    }

    #[test]
    fn what_methods_share_is_that_of_the_paper() {
        // Lucic et al. 2019, appendix: the weights of the rotation losses, and a quarter of each batch turned.
        let defaults = TrainOptions::default();
        let rotation = (defaults.d_rotation_weight, defaults.g_rotation_weight, defaults.rotation_share);
        assert_eq!((rotation, defaults.loss), ((1.0, 0.2, 0.25), Choice::from("hinge")));
        assert_eq!((defaults.g_norm, defaults.d_spectral_norm), (NormKind::Conditional, true));
    }
}
