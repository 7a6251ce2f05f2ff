use std::fs;

use serde_json::{Map, json};

use super::*;
use crate::figure::{self, Grid, Images};
use crate::progress::{Observer, Picture, Step};
use crate::run::{About, Run};

const CLASSES: [&str; 10] =
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

/// Ten by eight blurred squares that sharpen with the steps.
fn squares(step: u64) -> Picture {
    let sharp = 0.2 + step as f64 / 500.0;
    let mut pixels = Vec::new();
    for image in 0..80 {
        let size = 5.0 + f64::from(image % 10);
        for y in 0..28 {
            for x in 0..28 {
                let far = (f64::from(x) - 13.5).abs().max((f64::from(y) - 13.5).abs());
                pixels.push((255.0 / (1.0 + ((far - size) * sharp).exp())) as u8);
            }
        }
    }
    let images = Images { pixels: &pixels, channels: 1, height: 28, width: 28 };
    let names = CLASSES.map(String::from).to_vec();
    figure::grid(&images, &Grid { columns: 10, column_labels: names, ..Grid::default() }).unwrap()
}

/// Two stages, pictures, and every kind of record, as a whole run of the pipeline leaves them.
pub(super) fn fake_run(out: &Path, samples: &dyn Fn(u64) -> Picture) -> Run {
    let about = About {
        name: "pipeline-s3gan-1".into(),
        path: "scripts/pipeline.rhai".into(),
        script: "// S3GAN: as good with 10% of the labels.\nlet labels = param(\"labels\", 0.10);\nif labels < 0.2 { print(\"few\") }\n".into(),
        params: Map::from_iter([("labels".to_string(), json!(0.1)), ("method".to_string(), json!("s3gan"))]),
        seed: 1,
        device: "cpu (2 threads)".into(),
        threads: 2,
        command: ["fewlab", "run", "scripts/pipeline.rhai", "--set", "labels=0.1", "--set", "method=s3gan", "--seed", "1"]
            .map(String::from)
            .to_vec(),
    };
    let run = Run::create(out, about);
    // A fixed wobble in place of noise.
    let wobble = |step: u64, salt: f64| ((step as f64 * 12.9898 + salt).sin() * 43_758.545).fract();
    run.record("data", &json!({
        "name": "fashion-mnist-10k/train", "classes": CLASSES,
        "splits": [{"name": "train", "counts": [800, 800, 800, 800, 800, 800, 800, 800, 800, 800], "labelled": [80, 80, 80, 80, 80, 80, 80, 80, 80, 80]}],
        "facts": {"images": 8000, "size": "28x28 grey", "licence": "MIT", "sha256": "6a3f12c09be1d574"},
    }))
    .unwrap();
    run.note("8000 images, 800 of them with their label");
    run.begin("rotation", 0, 700);
    for step in 1..=700 {
        let loss = 0.25 + 1.1 * (-(step as f64) / 150.0).exp() + 0.12 * wobble(step, 1.0).abs();
        run.step(&Step { stage: "rotation", step, of: 700, values: &[("loss", loss), ("accuracy", 1.0 - loss / 2.2)] });
    }
    run.value("rotation", 700, "test accuracy", 0.9312);
    run.end("rotation", "accuracy 0.931 on held-out images");
    let confusion: Vec<Vec<u64>> = (0..10u64)
        .map(|row| {
            (0..10u64)
                .map(|c| {
                    if c == row {
                        640 + row * 12
                    } else if (row * 7 + c * 3) % 5 == 0 {
                        (row * 13 + c * 29) % 47
                    } else {
                        0
                    }
                })
                .collect()
        })
        .collect();
    let n: u64 = confusion.iter().flatten().sum();
    let right: u64 = (0..10).map(|i| confusion[i][i]).sum();
    let per_class: Vec<_> = (0..10)
        .map(|i| json!({"name": CLASSES[i], "images": 800, "n": confusion[i].iter().sum::<u64>(), "correct": confusion[i][i]}))
        .collect();
    run.record("labels", &json!({
        "n": 8000, "covered": n, "n_known": 800, "coverage": n as f64 / 8000.0, "accuracy": right as f64 / n as f64, "inferred_accuracy": 0.8423,
        "classes": CLASSES, "per_class": per_class, "confusion": confusion,
    }))
    .unwrap();
    run.begin("gan", 0, 1500);
    for step in 1..=1500 {
        let fade = (-(step as f64) / 400.0).exp();
        let d = 1.25 + 0.8 * fade + 0.5 * wobble(step, 0.0);
        let g = 0.45 - 0.6 * fade + 0.4 * wobble(step, 2.0);
        run.step(&Step {
            stage: "gan",
            step,
            of: 1500,
            values: &[("d_loss", d), ("g_loss", g), ("rotation_loss", 0.3 + fade)],
        });
        if step % 150 == 0 {
            run.value("gan", step, "fd", 60.0 + 300.0 * (-(step as f64) / 350.0).exp());
            run.picture("gan", step, "samples", &samples(step));
        }
    }
    run.end("gan", "1500 steps");
    let row = |metric: &str, label: &str, value: f64, near: f64, floor: f64, better: &str| {
        json!({"metric": metric, "label": label, "value": value, "lo": value - near, "hi": value + near, "floor": floor, "better": better,
            "protocol": {"split": "fashion-mnist-10k/test", "n_real": 2000, "n_fake": 2000, "extractor": "SqueezeNet 1.1, 64 px",
                "extractor_hash": "775ceadd7427150b", "resize": "bilinear (Pillow) to 64x64", "settings": format!("those of {metric}"), "seed": 1}})
    };
    let mut rows = vec![
        row("fd", "FD (SqueezeNet 1.1, 64 px)", 63.91, 2.4, 12.3, "lower"),
        row("kid", "KID (SqueezeNet 1.1, 64 px)", 0.0213, 0.0011, 0.0001, "lower"),
        row("precision", "Precision", 0.712, 0.021, 0.956, "higher"),
        row("recall", "Recall", 0.483, 0.025, 0.951, "higher"),
        row("fd_per_class", "FD per class", 166.5, 5.0, 40.0, "lower"),
        row("accuracy", "Accuracy of generated images", 0.7435, 0.019, 0.912, "higher"),
    ];
    rows.extend((0..10).map(|i| {
        row(
            &format!("fd_per_class/{}", CLASSES[i]),
            &format!("FD of {}", CLASSES[i]),
            90.0 + 17.0 * ((i * 7) % 10) as f64,
            6.0,
            40.0,
            "lower",
        )
    }));
    run.record("scores", &json!({"rows": rows})).unwrap();
    run.value("script", 0, "best", 0.5);
    run.picture("script", 1, "grid", &samples(1500));
    run.record("timing", &json!({"steps_per_second": 8.31, "images_per_second": 531.8})).unwrap();
    run
}

/// Elements that have no end.
const VOID: [&str; 4] = ["meta", "img", "input", "br"];

/// Fails unless every element is closed in order; gives how many there were.
fn parse(page: &str) -> usize {
    let mut open: Vec<&str> = Vec::new();
    let mut count = 0;
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let end = rest.find('>').unwrap_or_else(|| panic!("a tag has no end: {:.80}", rest));
        let (tag, after) = (&rest[..end], &rest[end + 1..]);
        let name = tag.split([' ', '\n', '/']).find(|part| !part.is_empty()).unwrap();
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{:.80}", after);
        } else if !tag.starts_with('!') && !tag.ends_with('/') && !VOID.contains(&name) {
            open.push(name);
            count += 1;
        }
        rest = after;
        if matches!(name, "script" | "style") && !tag.starts_with('/') {
            rest = &rest[rest.find("</").unwrap()..];
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
    count
}

#[test]
fn the_page_tells_the_whole_run_and_asks_for_nothing() {
    let out = tempfile::tempdir().unwrap();
    let run = fake_run(out.path(), &squares);
    run.finish(Status::Finished, None).unwrap();
    let path = write(&run.dir().unwrap()).unwrap();
    let page = fs::read_to_string(&path).unwrap();
    assert!(parse(&page) > 300);
    for expected in [
        "<span class=\"status finished\">Finished</span>",
        "<strong>FD (SqueezeNet 1.1, 64 px) 63.91</strong> (95% interval 61.51 to 66.31) with 10% of the labels; real images score 12.3",
        "fewlab run scripts/pipeline.rhai --set labels=0.1 --set method=s3gan --seed 1",
        "Accuracy of generated images",
        "aria-label=\"d loss, g loss, rotation loss over step\"",
        "step 1500 of 1500 · fd 64.13",
        "of the inferred labels are right",
        "test accuracy 0.9312",
        "Which class is taken for which",
        "<dt>extractor hash</dt><dd>775ceadd7427150b</dd>",
        ">FD per class</text>",
        "<dt>images per second</dt><dd>531.8</dd>",
        "8000 images, 800 of them with their label",
        "if labels &lt; 0.2 { print(&quot;few&quot;) }",
        "candle 0.11.1",
    ] {
        assert!(page.contains(expected), "the page lacks {expected}");
    }
    assert_eq!(page.matches("data:image/png;base64,").count(), 12, "ten samples, the last one large, one shown");
    assert!(page.contains("<h2>Shown by the script</h2>") && page.contains("<dt>best</dt><dd>0.5</dd>"));
    for outside in ["src=\"http", "href=", "url(", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(!page.replace("http://www.w3.org/2000/svg", "").contains("://"), "an address");
}

#[test]
fn a_run_that_broke_says_where_and_why() {
    let out = tempfile::tempdir().unwrap();
    let run = fake_run(out.path(), &|_| Picture { width: 1, height: 1, pixels: vec![0; 3] });
    run.begin("second", 0, 100);
    run.step(&Step { stage: "second", step: 41, of: 100, values: &[("d_loss", f64::NAN)] });
    run.finish(Status::Failed, Some("the loss became NaN at step 412 of <gan>\nhelp: lower `lr`")).unwrap();
    let page = fs::read_to_string(write(&run.dir().unwrap()).unwrap()).unwrap();
    parse(&page);
    assert!(
        page.contains("<div class=\"alarm\">the loss became NaN at step 412 of &lt;gan&gt;\nhelp: lower `lr`</div>")
    );
    assert!(page.contains("<span class=\"status failed\">Failed</span>"));
    assert!(page.contains(", at step 41 of 100 of <strong>second</strong>"));
}

#[test]
fn a_run_that_was_killed_is_told_from_one_at_work() {
    let out = tempfile::tempdir().unwrap();
    let run = fake_run(out.path(), &|_| Picture { width: 1, height: 1, pixels: vec![0; 3] });
    let dir = run.dir().unwrap();
    assert!(page(&History::read(&dir).unwrap()).contains("Still running"));
    drop(run);
    let page = page(&History::read(&dir).unwrap());
    assert!(page.contains(">Killed</span>") && page.contains("fewlab run --resume "));
}

#[test]
fn a_record_of_another_shape_is_shown_as_it_is() {
    let out = tempfile::tempdir().unwrap();
    let run = Run::create(out.path(), About { name: "x".into(), ..About::default() });
    run.record("scores", &json!({"rows": [{"value": "high"}]})).unwrap();
    run.record("answer", &json!(42)).unwrap();
    run.finish(Status::Finished, None).unwrap();
    let page = fs::read_to_string(write(&run.dir().unwrap()).unwrap()).unwrap();
    parse(&page);
    assert!(page.contains("<summary>scores</summary>") && page.contains("<dt>answer</dt><dd>42</dd>"));
}
