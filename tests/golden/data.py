"""Small files of each format that data sets come in, written by the tools that people write them with.

Run by hand: python data.py. Needs numpy, scipy, pyarrow, pillow, webdataset and, for the scaled pictures, torch.
The files lie in data/; versions.json there says what wrote them.
"""

import io
import json
import pathlib

import numpy as np
import PIL
import PIL.Image
import pyarrow as pa
import pyarrow.parquet as pq
import scipy
import scipy.io
import torch
import webdataset

HERE = pathlib.Path(__file__).parent / "data"
HERE.mkdir(exist_ok=True)


def mat():
    arrays = {
        "small": np.arange(6, dtype=np.uint8).reshape(2, 3),
        "real": np.array([[0.5, -1.25]]),
        "whole": np.array([[-7, 70_000]], dtype=np.int32),
    }
    scipy.io.savemat(HERE / "plain.mat", arrays)
    scipy.io.savemat(HERE / "packed.mat", arrays, do_compression=True)
    # Three digits: all pixels 4 * image, and three marked by row, column, channel in the last one.
    digits = np.zeros((32, 32, 3, 3), dtype=np.uint8) + 4 * np.arange(3, dtype=np.uint8)
    digits[7, 3, 0, 2], digits[3, 7, 1, 2], digits[0, 31, 2, 2] = 201, 202, 203
    labels = np.array([[1], [10], [9]], dtype=np.uint8)
    scipy.io.savemat(HERE / "svhn.mat", {"X": digits, "y": labels}, do_compression=True)


def npz():
    # Five images of 2x4 in colour: value = 40 * image + 10 * channel + 4 * row + column.
    n, row, column, channel = np.ogrid[:5, :2, :4, :3]
    images = (40 * n + 10 * channel + 4 * row + column).astype(np.uint8)
    labels = np.array([1, 0, -1, 1, 0])
    classes = np.array(["cat", "größer"])
    np.savez(HERE / "plain.npz", images=images, labels=labels, classes=classes)
    np.savez_compressed(
        HERE / "packed.npz",
        x_train=images.transpose(0, 3, 1, 2).astype(np.float32) / 255,
        y_train=labels.astype(np.int8).reshape(5, 1),
        x_test=images[:2, :, :, :].transpose(0, 3, 1, 2).astype(np.float64) / 255,
        y_test=np.array([0, 1], dtype=np.uint16),
    )
    np.savez(HERE / "grey.npz", images=images[..., 0], extra=np.array([1.5]))
    np.savez(HERE / "columns.npz", images=np.asfortranarray(images[..., 0]))
    np.savez(HERE / "wide.npz", images=images.astype(np.float32))


def png(value, side=4):
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (side, side), (value, value + 1, value + 2)).save(buffer, "PNG")
    return buffer.getvalue()


def parquet():
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])

    def write(name, values, labels, kind=pa.int64(), metadata=True, **options):
        column = pa.array([{"bytes": png(value), "path": None} for value in values], image)
        table = pa.table({"img": column, "label": pa.array(labels, kind)})
        if metadata:
            features = {"img": {"_type": "Image"}, "label": {"names": ["cat", "dog", "owl"], "_type": "ClassLabel"}}
            table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        pq.write_table(table, HERE / name, **options)

    write("train-00000-of-00002.parquet", range(0, 30, 10), [2, 0, 1], row_group_size=2)
    write("train-00001-of-00002.parquet", range(30, 50, 10), [None, -1], compression="zstd")
    write("test-00000-of-00001.parquet", [100, 110], [1, 2], compression="gzip")
    write("texts.parquet", range(0, 60, 10), ["b", "a", "b", "a", None, None], pa.string(), False, compression="none")
    plain = pa.table({"id": pa.array(["x", "y"]), "png": pa.array([png(5), png(6)], pa.binary())})
    pq.write_table(plain, HERE / "bytes.parquet", use_dictionary=False)


def shards():
    def write(name, samples):
        with webdataset.TarWriter(str(HERE / name), mtime=0, user="", group="") as sink:
            for sample in samples:
                sink.write(sample)

    write("train-0.tar", [{"__key__": f"dir.x/{i:04}", "png": png(10 * i), "cls": i % 2} for i in range(3)])
    write("train-1.tar", [{"__key__": "0003", "png": png(30), "cls": -1}, {"__key__": "0004.a", "png": png(40)}])
    write("test-0.tar", [{"__key__": "long" * 40, "png": png(50), "cls": 1}])
    about = [{"kind": "owl", "label": 7}, {"kind": "cat", "label": 7}, {"kind": "owl"}, {"kind": "cat", "label": None}]
    write("json.tar", [{"__key__": str(i), "json": json.dumps(a).encode(), "png": png(i)} for i, a in enumerate(about)])


def scaled():
    """A picture, and what PIL and PyTorch make of it; `corners` is TensorFlow 1's formula in NumPy."""
    rng = np.random.default_rng(1)
    picture = rng.integers(0, 256, (11, 11)).astype(np.uint8)
    cases = []
    for side in (7, 16, 4):
        small = np.asarray(PIL.Image.fromarray(picture).resize((side, side), PIL.Image.Resampling.BILINEAR))
        as_tensor = torch.tensor(picture, dtype=torch.float64)[None, None]
        exact = torch.nn.functional.interpolate(as_tensor, size=(side, side), mode="bilinear", align_corners=False)
        soft = torch.nn.functional.interpolate(
            as_tensor, size=(side, side), mode="bilinear", align_corners=False, antialias=True
        )
        place = np.arange(side) * (11 / side)
        low = np.floor(place).astype(int)
        high, part = np.minimum(low + 1, 10), place - low
        down = picture[low] + (picture[high] - picture[low].astype(float)) * part[:, None]
        corners = down[:, low] + (down[:, high] - down[:, low]) * part
        cases.append(
            {
                "side": side,
                "pil": small.tolist(),
                "antialias": soft[0, 0].tolist(),
                "bilinear": exact[0, 0].tolist(),
                "corners": corners.tolist(),
            }
        )
    text = json.dumps({"picture": picture.tolist(), "cases": cases})
    (HERE / "scaled.json").write_text(text)


for write in (mat, npz, parquet, shards, scaled):
    write()
versions = {m.__name__: m.__version__ for m in (np, scipy, pa, PIL, torch, webdataset)}
(HERE / "versions.json").write_text(json.dumps({"made_by": "python data.py", "versions": versions}) + "\n")
