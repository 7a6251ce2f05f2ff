"""The event file of a run with --tensorboard, as TensorBoard's own reader sees it."""
import json
import os
import pathlib
import struct
import subprocess

from tensorboard.backend.event_processing import event_accumulator

SCRIPT = """
let small = data::load("fashion-mnist-10k").train.take(40);
let gan = gan::train(small, #{ steps: 4, batch: 8, generator: "sndcgan", discriminator: "sndcgan", g_channels: 16,
    d_channels: 16, z_dim: 16, sample_every: 2 });
report("mine", 0.25, 4);
"""
pathlib.Path("script.rhai").write_text(SCRIPT)
subprocess.run([os.environ["FEWLAB"], "run", "script.rhai", "--tensorboard", "--quiet"], check=True)
[run] = pathlib.Path("runs").iterdir()
[path] = (run / "tensorboard").iterdir()

seen = event_accumulator.EventAccumulator(str(run / "tensorboard"), size_guidance={"images": 0, "scalars": 0})
seen.Reload()
measured = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
steps = [line for line in measured if line["kind"] == "step"]
assert len(steps) == 4, steps
for name in ["d_loss", "g_loss"]:
    got = [(event.step, event.value) for event in seen.Scalars(f"gan/{name}")]
    kept = [(line["step"], struct.unpack("f", struct.pack("f", line["values"][name]))[0]) for line in steps]
    assert got == kept, (got, kept)
[mine] = [event for tag in seen.Tags()["scalars"] if tag.endswith("mine") for event in seen.Scalars(tag)]
assert (mine.step, mine.value) == (4, 0.25), mine
images = seen.Images("gan/samples")
assert [image.step for image in images] == [2, 4], images
for image in images:
    png = (run / "samples" / f"1-gan-samples-{image.step:06}.png").read_bytes()
    assert image.encoded_image_string == png
    assert struct.unpack(">II", png[16:24]) == (image.width, image.height)
print(path, seen.Tags())
