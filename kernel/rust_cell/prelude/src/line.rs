//! The line on which calls come in: messages of JSON, each behind its length, and tensors in memory beside them.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use candle_core::{CpuStorage, DType, Storage, Tensor};
use serde_json::{Value as Json, json};

use crate::check::Seen;
use crate::convert::Arguments;
use crate::exports;
use crate::memory::{ALIGN, Ours, Theirs, spread};
use crate::panics;
use crate::value::{Array, Value, arrays_mut, arrays_of, first_line};

/// Deep graphs are walked by recursion.
const STACK: usize = 256 << 20;

/// Answers what comes on the socket at `path`, for as long as the other side is there.
pub fn open(path: PathBuf) {
    keep_memory();
    let serve = move || {
        let Ok(stream) = UnixStream::connect(&path) else { return };
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        let Ok(said) = Said::new(&folder) else { return };
        let ours = Ours::new(&folder);
        let mut line = Line {
            stream,
            folder,
            theirs: Theirs::default(),
            ours,
            said,
            graphs: HashMap::new(),
            next: 0,
            checked: HashSet::new(),
        };
        while line.answer().is_some() {}
    };
    // Without the thread calls are refused by the other side, which waits in vain for the line.
    let _ = std::thread::Builder::new().name("calls".into()).stack_size(STACK).spawn(serve);
}

/// Memory that is freed is kept for the next tensor: asking the system for it again costs more than filling it.
fn keep_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `mallopt` sets numbers of the allocator.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 30);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        // One heap for all threads: that of another thread holds 64 MB at most, and what does not fit is asked for anew.
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// What is kept of a call so that it can be differentiated.
struct Graph {
    /// The tensors that can be differentiated for.
    variables: Vec<candle_core::Var>,
    /// The tensors of the result.
    outputs: Vec<Tensor>,
}

/// Why a call gave nothing.
struct Fault {
    message: String,
    /// Whether it was called wrongly.
    usage: bool,
}

impl From<String> for Fault {
    fn from(message: String) -> Self {
        Self { message, usage: false }
    }
}

impl From<&str> for Fault {
    fn from(message: &str) -> Self {
        message.to_string().into()
    }
}

struct Line {
    stream: UnixStream,
    folder: PathBuf,
    theirs: Theirs,
    ours: Ours,
    said: Said,
    graphs: HashMap<u64, Graph>,
    next: u64,
    /// The functions whose gradient was held against differences.
    checked: HashSet<usize>,
}

impl Line {
    /// Answers the next message; nothing once the other side is gone.
    fn answer(&mut self) -> Option<()> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let mut text = vec![0; u32::from_le_bytes(length) as usize];
        self.stream.read_exact(&mut text).ok()?;
        let request: Json = serde_json::from_slice(&text).ok()?;
        for freed in request["release"].as_array().into_iter().flatten().filter_map(Json::as_u64) {
            self.graphs.remove(&freed);
        }
        self.ours.clear();
        let answer = if let Some(mark) = request["list"].as_str() {
            // Behind this line nothing of what was written before is still on its way.
            eprintln!("{mark}");
            json!({ "exports": exports::list(), "panic": panics::last() })
        } else {
            self.guarded(&request)
        };
        let text = serde_json::to_vec(&answer).ok()?;
        let mut message = Vec::with_capacity(text.len() + 4);
        message.extend_from_slice(&(text.len() as u32).to_le_bytes());
        message.extend_from_slice(&text);
        self.stream.write_all(&message).ok()
    }

    /// The answer to a call; a panic in it is an answer too.
    fn guarded(&mut self, request: &Json) -> Json {
        panics::last();
        self.said.begin();
        let result = catch_unwind(AssertUnwindSafe(|| match request["call"].as_str() {
            Some(name) => self.call(name, request),
            None => self.differentiate(request),
        }));
        let said = self.said.end();
        let mut answer = match result {
            Ok(Ok(answer)) => answer,
            Ok(Err(fault)) => json!({ "error": fault.message, "usage": fault.usage }),
            Err(_) => json!({ "error": panics::last().unwrap_or_else(|| "panicked".into()) }),
        };
        if !said.is_empty() {
            answer["said"] = said.into();
        }
        answer
    }

    fn call(&mut self, name: &str, request: &Json) -> Result<Json, Fault> {
        let export = exports::find(name).ok_or("is not there any more")?;
        let mut values = self.read_all(&request["arguments"], request)?;
        let track = request["track"].as_bool().unwrap_or(false);
        let wanted: Vec<u64> = request["wanted"].as_array().into_iter().flatten().filter_map(Json::as_u64).collect();
        let mut variables = Vec::new();
        if track {
            let mut number = 0;
            for value in &mut values {
                arrays_mut(value, &mut |array| {
                    if wanted.contains(&number) {
                        array.track()?;
                        variables.extend(array.variable().cloned());
                    }
                    number += 1;
                    Ok(())
                })?;
            }
        }
        let mut arguments = Arguments::new(&values);
        let result = (export.call)(&mut arguments);
        let mut result = result.map_err(|message| Fault { message, usage: arguments.wrong })?;
        let sliced = arguments.sliced;
        shape_like(&mut result, &values);
        let mut outputs = Vec::new();
        let mut answer = self.write(&result, &mut outputs)?;
        if track {
            let tensors = outputs.iter().map(|array| array.tensor().cloned()).collect::<Result<Vec<_>, _>>()?;
            let attached: Vec<bool> = tensors.iter().map(Tensor::track_op).collect();
            if attached.contains(&true) {
                if self.checked.insert(export.call as usize) {
                    let outputs: Vec<_> = tensors.iter().cloned().zip(attached.iter().copied()).collect();
                    let seen = Seen {
                        call: export.call,
                        values: &values,
                        wanted: &wanted,
                        variables: &variables,
                        outputs: &outputs,
                    };
                    // What the function prints again was said.
                    let before = self.said.length();
                    if let Some((gradient, change)) = seen.fault() {
                        answer["slopes"] = json!([gradient, change]);
                    }
                    self.said.cut(before);
                }
                self.next += 1;
                self.graphs.insert(self.next, Graph { variables, outputs: tensors });
                answer["graph"] = self.next.into();
            }
            answer["attached"] = attached.into();
            answer["sliced"] = sliced.into();
        }
        Ok(answer)
    }

    /// The product of a gradient of the results with the Jacobian of a call.
    fn differentiate(&mut self, request: &Json) -> Result<Json, Fault> {
        let of =
            request["differentiate"].as_u64().and_then(|graph| self.graphs.remove(&graph).map(|kept| (graph, kept)));
        let (number, graph) = of.ok_or("the graph of the call is gone")?;
        let result = self.products(&graph, request);
        self.graphs.insert(number, graph);
        Ok(result?)
    }

    fn products(&mut self, graph: &Graph, request: &Json) -> Result<Json, String> {
        let output = request["output"].as_u64().and_then(|i| graph.outputs.get(i as usize)).ok_or("no such result")?;
        let given = self.read_all(&request["arguments"], request)?;
        let [Value::Array(upstream)] = given.as_slice() else { return Err("no gradient was given".into()) };
        let upstream = upstream.tensor()?;
        let product = || output.mul(upstream)?.sum_all()?.backward();
        let grads = product().map_err(|error| format!("has no gradient: {}", first_line(error)))?;
        let values: Vec<Value> = graph
            .variables
            .iter()
            .map(|variable| {
                grads.get(variable).map_or(Value::Unit, |grad| Value::Array(Array::of_tensor(grad.clone())))
            })
            .collect();
        self.write(&Value::List(values), &mut Vec::new())
    }

    fn read_all(&mut self, json: &Json, request: &Json) -> Result<Vec<Value>, String> {
        let file = (request["file"][0].as_u64().unwrap_or(0), request["file"][1].as_u64().unwrap_or(0) as usize);
        json.as_array().into_iter().flatten().map(|value| self.read(value, file)).collect()
    }

    fn read(&mut self, json: &Json, file: (u64, usize)) -> Result<Value, String> {
        Ok(match json {
            Json::Null => Value::Unit,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => Value::Int(number.as_i64().ok_or("a number out of range")?),
            Json::String(text) => Value::Text(text.clone()),
            Json::Array(items) => {
                Value::List(items.iter().map(|item| self.read(item, file)).collect::<Result<_, _>>()?)
            }
            Json::Object(object) => {
                if let Some(bits) = object.get("float").and_then(Json::as_u64) {
                    return Ok(Value::Float(f64::from_bits(bits)));
                }
                if let Some(map) = object.get("map").and_then(Json::as_object) {
                    let read = |(name, value): (&String, &Json)| Ok((name.clone(), self.read(value, file)?));
                    return map.iter().map(read).collect::<Result<_, String>>().map(Value::Map);
                }
                let tensor = &json["tensor"];
                let dtype = tensor[0].as_str().and_then(dtype_of).ok_or("a tensor of an unknown type")?;
                let dims: Vec<usize> =
                    tensor[1].as_array().into_iter().flatten().filter_map(Json::as_u64).map(|n| n as usize).collect();
                let at = tensor[2].as_u64().ok_or("a tensor without a place")? as usize;
                let length = dims.iter().product::<usize>() * dtype.size_in_bytes();
                let bytes = self.theirs.at(&self.folder, file.0, file.1, at, length)?;
                Value::Array(Array::of_bytes(dims, dtype, bytes))
            }
        })
    }

    /// The result as the other side reads it; its tensors, in order, are added to `arrays`.
    fn write<'a>(&mut self, value: &'a Value, arrays: &mut Vec<&'a Array>) -> Result<Json, String> {
        arrays_of(value, arrays);
        let mut sizes = 0;
        for array in arrays.iter() {
            sizes += (array.elements() * array.dtype().size_in_bytes()).next_multiple_of(ALIGN);
        }
        self.ours.reserve(sizes)?;
        let json = self.write_one(value)?;
        let (number, size) = self.ours.place();
        Ok(json!({ "value": json, "file": [number, size] }))
    }

    fn write_one(&mut self, value: &Value) -> Result<Json, String> {
        Ok(match value {
            Value::Unit => Json::Null,
            Value::Bool(value) => (*value).into(),
            Value::Int(value) => (*value).into(),
            Value::Float(value) => json!({ "float": value.to_bits() }),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(|item| self.write_one(item)).collect::<Result<_, _>>()?,
            Value::Shape(dims) => dims.as_slice().into(),
            Value::Map(map) => {
                let map = map.iter().map(|(name, value)| Ok((name.clone(), self.write_one(value)?)));
                json!({ "map": map.collect::<Result<serde_json::Map<_, _>, String>>()? })
            }
            Value::Array(array) => {
                if dtype_of(array.dtype().as_str()).is_none() {
                    return Err(format!(
                        "gave a tensor of {}; Rhai takes f32, f64, i64, u32 and u8: convert it with `to_dtype`",
                        array.dtype().as_str()
                    ));
                }
                let length = array.elements() * array.dtype().size_in_bytes();
                let (at, place) = self.ours.next(length)?;
                match array.bytes() {
                    Some(bytes) => spread(bytes, place),
                    None => copy(array.tensor()?, place)?,
                }
                json!({ "tensor": [array.dtype().as_str(), array.dims(), at] })
            }
        })
    }
}

fn dtype_of(name: &str) -> Option<DType> {
    [DType::F32, DType::F64, DType::I64, DType::U32, DType::U8].into_iter().find(|dtype| dtype.as_str() == name)
}

/// The numbers of a tensor in order, as bytes.
fn copy(tensor: &Tensor, place: &mut [u8]) -> Result<(), String> {
    let tensor = tensor.contiguous().map_err(first_line)?;
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { return Err("gave a tensor that is not on the CPU".into()) };
    let Some((start, end)) = layout.contiguous_offsets() else { return Err("gave a tensor out of order".into()) };
    macro_rules! copied {
        ($values:expr) => {{
            let values = &$values[start..end];
            // SAFETY: numbers have no padding, and a byte may lie anywhere.
            let bytes =
                unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), std::mem::size_of_val(values)) };
            spread(bytes, place);
            Ok(())
        }};
    }
    match storage {
        CpuStorage::F32(values) => copied!(values),
        CpuStorage::F64(values) => copied!(values),
        CpuStorage::I64(values) => copied!(values),
        CpuStorage::U32(values) => copied!(values),
        CpuStorage::U8(values) => copied!(values),
        _ => Err("gave a tensor of a type that Rhai does not take".into()),
    }
}

/// A `Vec` of as many numbers as the first tensor among the arguments has takes its shape.
fn shape_like(result: &mut Value, arguments: &[Value]) {
    let first = arguments.iter().find_map(|value| if let Value::Array(array) = value { Some(array) } else { None });
    if let (Value::Array(array), Some(first)) = (result, first)
        && array.plain
        && array.elements() == first.elements()
    {
        array.reshape(first.dims());
    }
}

/// What a call prints: the process prints into a file while it runs, for outside of cells nobody reads what it prints.
struct Said {
    file: File,
    out: libc::c_int,
}

impl Said {
    fn new(folder: &Path) -> std::io::Result<Self> {
        let path = folder.join(format!("said-{}", std::process::id()));
        let file = File::options().read(true).append(true).create(true).open(&path)?;
        // Nobody else needs its name.
        std::fs::remove_file(&path)?;
        // SAFETY: makes a second number for standard output.
        let out = unsafe { libc::dup(1) };
        Ok(Self { file, out })
    }

    fn begin(&self) {
        let _ = std::io::stdout().flush();
        // SAFETY: both are open.
        unsafe { libc::dup2(self.file.as_raw_fd(), 1) };
    }

    /// How much was printed.
    fn length(&self) -> u64 {
        let _ = std::io::stdout().flush();
        self.file.metadata().map_or(0, |about| about.len())
    }

    /// Forgets what was printed after so much.
    fn cut(&self, length: u64) {
        let _ = std::io::stdout().flush();
        let _ = self.file.set_len(length);
    }

    fn end(&mut self) -> String {
        let _ = std::io::stdout().flush();
        // SAFETY: both are open.
        unsafe { libc::dup2(self.out, 1) };
        let mut text = Vec::new();
        if self.file.metadata().is_ok_and(|about| about.len() > 0) {
            let _ = self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.read_to_end(&mut text));
            let _ = self.file.set_len(0);
        }
        String::from_utf8_lossy(&text).into_owned()
    }
}
