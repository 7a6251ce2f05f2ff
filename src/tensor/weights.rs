//! Weights in files that others wrote: safetensors, and both formats of `torch.save`.

use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::path::Path;

use candle_core::pickle::{Object, PthTensors, Stack};
use half::{bf16, f16};

use super::value::{Raw, Tensor};
use crate::error::{Error, Result, file};
use crate::tensor::{DType, Device};

/// Named weights, as f32 on the CPU.
pub type Weights = HashMap<String, Tensor>;

/// What `torch.save` began a file with before version 1.6: a pickle of its magic number, and one of the protocol 1001.
const LEGACY: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.";
/// What a ZIP archive begins with: `torch.save` since version 1.6.
const ZIP: &[u8] = b"PK\x03\x04";

/// Every floating-point tensor of a file: safetensors, or a state dictionary that `torch.save` wrote. Counters and other
/// whole numbers are left out.
///
/// # Errors
/// The file is missing, damaged, or of another kind.
pub fn read_weights(path: &Path) -> Result<Weights> {
    let bytes = std::fs::read(path).map_err(|error| file(path, "read", error))?;
    weights_of(path, &bytes)
}

/// As [`read_weights`], for a file whose `bytes` are already here.
///
/// # Errors
/// The file is damaged, or of another kind.
pub fn weights_of(path: &Path, bytes: &[u8]) -> Result<Weights> {
    let read = if bytes.starts_with(LEGACY) {
        legacy(bytes)
    } else if bytes.starts_with(ZIP) {
        zipped(path)
    } else if bytes.get(8) == Some(&b'{') {
        safetensors(bytes)
    } else {
        return Err(Error::new(format!("`{}` holds no weights that can be read", path.display()))
            .help("it must be a safetensors file, or a state dictionary that `torch.save` wrote"));
    };
    let weights = read.map_err(|error| file(path, "read", error).help("the file is damaged or of another kind"))?;
    if weights.is_empty() {
        return Err(Error::new(format!("`{}` holds no named weights", path.display()))
            .help("save the state dictionary: `torch.save(model.state_dict(), path)`"));
    }
    Ok(weights)
}

fn kept(tensors: impl IntoIterator<Item = Result<(String, Raw)>>) -> Result<Weights> {
    let mut weights = Weights::new();
    for tensor in tensors {
        let (name, raw) = tensor?;
        if raw.dtype().is_float() {
            weights.insert(name, Tensor::from_raw(raw.to_dtype(DType::F32)?.contiguous()?));
        }
    }
    Ok(weights)
}

fn safetensors(bytes: &[u8]) -> Result<Weights> {
    kept(candle_core::safetensors::load_buffer(bytes, &Device::Cpu)?.into_iter().map(Ok))
}

fn zipped(path: &Path) -> Result<Weights> {
    let archive = PthTensors::new(path, None)?;
    let tensor = |name: &String| Ok(archive.get(name)?.map(|raw| (name.clone(), raw)));
    kept(archive.tensor_infos().keys().map(tensor).filter_map(Result::transpose))
}

/// A tensor of a legacy file: a view of a storage that comes later.
struct View {
    name: String,
    storage: String,
    offset: usize,
    size: Vec<usize>,
    stride: Vec<usize>,
}

fn legacy(bytes: &[u8]) -> Result<Weights> {
    let mut rest = Cursor::new(&bytes[LEGACY.len()..]);
    let mut pickle = || -> Result<Object> {
        let mut stack = Stack::empty();
        stack.read_loop(&mut rest)?;
        Ok(stack.finalize()?)
    };
    // What kind of machine wrote it: all that torch runs on are little-endian.
    pickle()?;
    let entries = pickle()?.dict().map_err(|_| unexpected("something else than a dictionary"))?;
    let keys = match pickle()? {
        Object::List(keys) => keys,
        _ => return Err(unexpected("no list of storages")),
    };
    let mut kinds = HashMap::new();
    let mut views = Vec::new();
    for (name, value) in entries {
        if let (Object::Unicode(name), Some(args)) = (name, rebuilt(value)) {
            views.push(
                view(name, args, &mut kinds).ok_or_else(|| unexpected("a tensor that is put together otherwise"))?,
            );
        }
    }
    let mut storages = HashMap::new();
    for key in keys {
        let key = key.unicode().map_err(|_| unexpected("a storage without a name"))?;
        let kind = kinds.get(&key).ok_or_else(|| unexpected("a storage that no tensor names"))?;
        let mut count = [0; 8];
        rest.read_exact(&mut count).map_err(|_| unexpected("fewer storages than it names"))?;
        let width = width_of(kind).ok_or_else(|| unexpected(&format!("a `{kind}`")))?;
        let left = bytes.len() - LEGACY.len() - rest.position() as usize;
        let length = usize::try_from(u64::from_le_bytes(count)).ok().and_then(|count| count.checked_mul(width));
        let length =
            length.filter(|length| *length <= left).ok_or_else(|| unexpected("a storage longer than the file"))?;
        let mut data = vec![0; length];
        rest.read_exact(&mut data).map_err(|_| unexpected("a storage longer than the file"))?;
        storages.insert(key, floats(kind, &data));
    }
    let mut weights = Weights::new();
    for view in views {
        let storage = storages.get(&view.storage).ok_or_else(|| unexpected("a tensor without its storage"))?;
        if let Some(storage) = storage {
            let values = gathered(&view, storage).ok_or_else(|| unexpected("a tensor larger than its storage"))?;
            weights.insert(view.name, Tensor::from_vec(values, &view.size, &Device::Cpu)?);
        }
    }
    Ok(weights)
}

fn unexpected(what: &str) -> Error {
    Error::new(format!("it holds {what}"))
}

/// The arguments of the function that puts a tensor or a parameter together again; nothing for any other value.
fn rebuilt(value: Object) -> Option<Vec<Object>> {
    let (function, args) = value.reduce().ok()?;
    let (_, name) = function.class().ok()?;
    let mut args = args.tuple().ok()?;
    match name.as_str() {
        "_rebuild_tensor_v2" | "_rebuild_tensor" => Some(args),
        "_rebuild_parameter" if !args.is_empty() => rebuilt(args.remove(0)),
        _ => None,
    }
}

fn view(name: String, args: Vec<Object>, kinds: &mut HashMap<String, String>) -> Option<View> {
    let mut args = args.into_iter();
    let mut storage = args.next()?.persistent_load().ok()?.tuple().ok()?.into_iter();
    let offset = usize::try_from(args.next()?.int_or_long().ok()?).ok()?;
    let mut counts = || -> Option<Vec<usize>> {
        let items = args.next()?.tuple().ok()?;
        items.into_iter().map(|item| usize::try_from(item.int_or_long().ok()?).ok()).collect()
    };
    let (size, stride) = (counts()?, counts()?);
    let (_, kind) = storage.nth(1)?.class().ok()?;
    let storage = storage.next()?.unicode().ok()?;
    kinds.insert(storage.clone(), kind);
    (size.len() == stride.len()).then_some(View { name, storage, offset, size, stride })
}

fn width_of(kind: &str) -> Option<usize> {
    Some(match kind {
        "DoubleStorage" | "LongStorage" => 8,
        "FloatStorage" | "IntStorage" => 4,
        "HalfStorage" | "BFloat16Storage" | "ShortStorage" => 2,
        "CharStorage" | "ByteStorage" | "BoolStorage" => 1,
        _ => return None,
    })
}

/// The numbers of a storage; nothing for whole numbers.
fn floats(kind: &str, data: &[u8]) -> Option<Vec<f32>> {
    let halves = data.as_chunks::<2>().0.iter();
    Some(match kind {
        "FloatStorage" => data.as_chunks::<4>().0.iter().map(|x| f32::from_le_bytes(*x)).collect(),
        "DoubleStorage" => data.as_chunks::<8>().0.iter().map(|x| f64::from_le_bytes(*x) as f32).collect(),
        "HalfStorage" => halves.map(|x| f16::from_le_bytes(*x).to_f32()).collect(),
        "BFloat16Storage" => halves.map(|x| bf16::from_le_bytes(*x).to_f32()).collect(),
        _ => return None,
    })
}

/// The values of a view in row-major order.
fn gathered(view: &View, storage: &[f32]) -> Option<Vec<f32>> {
    let elements = view.size.iter().try_fold(1usize, |product, size| product.checked_mul(*size))?;
    if elements > storage.len() {
        return None;
    }
    let mut place = vec![0; view.size.len()];
    let mut values = Vec::with_capacity(elements);
    for _ in 0..elements {
        let at = place
            .iter()
            .zip(&view.stride)
            .try_fold(view.offset, |at, (i, stride)| at.checked_add(usize::checked_mul(*i, *stride)?))?;
        values.push(*storage.get(at)?);
        for (i, size) in place.iter_mut().zip(&view.size).rev() {
            *i += 1;
            if *i < *size {
                break;
            }
            *i = 0;
        }
    }
    Some(values)
}
