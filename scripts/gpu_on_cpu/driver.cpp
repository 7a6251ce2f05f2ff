// A GPU made of a CPU: the part of CUDA's driver that Fewlab and Candle call, with kernels that run here, one thread at a
// time. It finds wrong indices, wrong arguments and wrong sizes on a machine without a GPU; it says nothing about speed.
//
// Memory is filled with NaN when it is given out, and freed when it is given back: with AddressSanitizer, a kernel that
// reads or writes outside of its tensors is stopped.
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <tuple>
#include <ucontext.h>
#include <utility>
#include <vector>

struct Three {
    unsigned x, y, z;
};
static Three blockIdx, threadIdx, blockDim, gridDim;

// ---- threads of a block that wait for each other: each has a stack, and runs until it waits ----

struct Fibre {
    ucontext_t context;
    std::vector<char> stack;
    bool done;
};
static ucontext_t scheduler;
static Fibre *running;
static void *const *arguments;
static void (*body)(void *const *);

static void __syncthreads()
{
    swapcontext(&running->context, &scheduler);
}

static void start()
{
    body(arguments);
    running->done = true;
    swapcontext(&running->context, &scheduler);
}

static void block_of_fibres()
{
    static std::vector<Fibre> fibres(1024);
    for (unsigned t = 0; t < blockDim.x; t++) {
        Fibre &fibre = fibres[t];
        fibre.stack.resize(64 << 10);
        fibre.done = false;
        getcontext(&fibre.context);
        fibre.context.uc_stack.ss_sp = fibre.stack.data();
        fibre.context.uc_stack.ss_size = fibre.stack.size();
        fibre.context.uc_link = nullptr;
        makecontext(&fibre.context, start, 0);
    }
    unsigned left = blockDim.x;
    for (bool backwards = blockIdx.x & 1; left > 0; backwards = !backwards)
        for (unsigned k = 0; k < blockDim.x; k++) {
            unsigned t = backwards ? blockDim.x - 1 - k : k;
            if (fibres[t].done)
                continue;
            running = &fibres[t];
            threadIdx = {t, 0, 0};
            swapcontext(&scheduler, &running->context);
            left -= running->done;
        }
}

// ---- the kernels ----

#define __global__
#define __device__
#define __shared__ static
namespace f32 {
using namespace std;
#define real float
#define SUFFIX f32
#include "kernels.cu"
#undef real
#undef SUFFIX
}
namespace f64 {
using namespace std;
#define real double
#define SUFFIX f64
#include "kernels.cu"
#undef real
#undef SUFFIX
}

// The few kernels of Candle that are still met: with one thread, on tensors that lie in order.
static void in_order(const void *info)
{
    if (info) {
        fprintf(stderr, "gpu_on_cpu: a kernel of Candle's was given strides\n");
        abort();
    }
}
template <class T> static void candle_const_set(size_t n, size_t, const size_t *info, T value, T *out)
{
    in_order(info);
    for (size_t i = 0; i < n; i++)
        out[i] = value;
}
template <class A, class B> static void candle_cast(size_t n, size_t, const size_t *info, const A *x, B *out)
{
    in_order(info);
    for (size_t i = 0; i < n; i++)
        out[i] = (B)x[i];
}
template <class T>
static void candle_copy2d(const T *x, T *out, uint32_t d1, uint32_t d2, uint32_t s1, uint32_t s2)
{
    for (size_t i = 0; i < d1; i++)
        for (size_t j = 0; j < d2; j++)
            out[i * s2 + j] = x[i * s1 + j];
}
template <class I, class T>
static void candle_index_select(size_t n, size_t, const size_t *, const I *ids, const T *x, T *out, size_t left,
                                size_t source, size_t dim, size_t right)
{
    for (size_t i = 0; i < n; i++) {
        size_t l = i / (dim * right), d = i / right % dim, r = i % right;
        out[i] = x[(l * source + ids[d]) * right + r];
    }
    (void)left;
}
template <class I, class T>
static void candle_index_add(const I *ids, size_t count, const T *x, T *out, size_t left, size_t source, size_t dim,
                             size_t right)
{
    for (size_t l = 0; l < left; l++)
        for (size_t j = 0; j < count; j++)
            for (size_t r = 0; r < right; r++)
                out[(l * dim + ids[j]) * right + r] += x[(l * source + j) * right + r];
}
template <class T, int OP>
static void candle_compare(size_t n, size_t dims, const size_t *info, const T *a, const T *b, uint8_t *out)
{
    for (size_t i = 0; i < n; i++) {
        size_t at_a = i, at_b = i;
        if (info) {
            at_a = at_b = 0;
            size_t rest = i;
            for (size_t d = dims; d-- > 0; rest /= info[d]) {
                at_a += rest % info[d] * info[dims + d];
                at_b += rest % info[d] * info[2 * dims + d];
            }
        }
        T x = a[at_a], y = b[at_b];
        out[i] = OP == 0 ? x == y : OP == 1 ? x >= y : x <= y;
    }
}

template <class... A, size_t... I>
static void unpack(void (*f)(A...), void *const *args, std::index_sequence<I...>)
{
    f(*(A *)args[I]...);
}
template <auto F> struct Call;
template <class... A, void (*F)(A...)> struct Call<F> {
    static void run(void *const *args) { unpack(F, args, std::index_sequence_for<A...>()); }
};
struct Kernel {
    void (*run)(void *const *);
    // Whether threads of a block wait for each other; else each runs to its end. `once`: one thread does it all.
    bool waits, once;
};
static const std::map<std::string, Kernel> KERNELS = {
#define OURS(name, waits) {#name "_f32", {Call<f32::name##_f32>::run, waits, false}}, \
    {#name "_f64", {Call<f64::name##_f64>::run, waits, false}},
#include "kernels.inc"
    {"const_set_f32", {Call<candle_const_set<float>>::run, false, true}},
    {"const_set_f64", {Call<candle_const_set<double>>::run, false, true}},
    {"cast_f32_f64", {Call<candle_cast<float, double>>::run, false, true}},
    {"cast_f64_f32", {Call<candle_cast<double, float>>::run, false, true}},
    {"cast_u8_f32", {Call<candle_cast<uint8_t, float>>::run, false, true}},
    {"cast_u8_f64", {Call<candle_cast<uint8_t, double>>::run, false, true}},
    {"cast_u32_f32", {Call<candle_cast<uint32_t, float>>::run, false, true}},
    {"copy2d_f32", {Call<candle_copy2d<float>>::run, false, true}},
    {"copy2d_f64", {Call<candle_copy2d<double>>::run, false, true}},
    {"is_u32_f32", {Call<candle_index_select<uint32_t, float>>::run, false, true}},
    {"is_u32_f64", {Call<candle_index_select<uint32_t, double>>::run, false, true}},
    {"is_i64_u32", {Call<candle_index_select<int64_t, uint32_t>>::run, false, true}},
    {"ia_u32_f32", {Call<candle_index_add<uint32_t, float>>::run, false, true}},
    {"ia_u32_f64", {Call<candle_index_add<uint32_t, double>>::run, false, true}},
    {"eq_f32", {Call<candle_compare<float, 0>>::run, false, true}},
    {"eq_f64", {Call<candle_compare<double, 0>>::run, false, true}},
    {"ge_f32", {Call<candle_compare<float, 1>>::run, false, true}},
    {"ge_f64", {Call<candle_compare<double, 1>>::run, false, true}},
    {"le_f32", {Call<candle_compare<float, 2>>::run, false, true}},
    {"le_f64", {Call<candle_compare<double, 2>>::run, false, true}},
};

static std::map<std::string, size_t> launches;
static size_t waits_for_gpu;

struct Report {
    ~Report()
    {
        if (!getenv("GPU_ON_CPU_REPORT"))
            return;
        size_t sum = 0;
        for (auto &one : launches)
            sum += one.second;
        fprintf(stderr, "gpu_on_cpu: %zu launches, %zu waits\n", sum, waits_for_gpu);
        for (auto &one : launches)
            fprintf(stderr, "gpu_on_cpu: %8zu %s\n", one.second, one.first.c_str());
    }
} report;

void count_launch(const char *name) { launches[name]++; }

// ---- the driver ----

typedef int Status;
typedef uint64_t Address;
static const Status SUCCESS = 0, INVALID = 1, NOT_FOUND = 500;

extern "C" {
Status cuInit(unsigned) { return SUCCESS; }
Status cuDriverGetVersion(int *version) { return *version = 13000, SUCCESS; }
Status cuDeviceGetCount(int *count) { return *count = 1, SUCCESS; }
Status cuDeviceGet(int *device, int ordinal) { return *device = ordinal, ordinal == 0 ? SUCCESS : 101; }
Status cuDeviceGetName(char *name, int length, int) { return snprintf(name, length, "a CPU"), SUCCESS; }
Status cuDeviceGetAttribute(int *value, int attribute, int)
{
    // Compute capability 9.0; pools of memory are there.
    *value = attribute == 75 ? 9 : attribute == 76 ? 0 : 1;
    return SUCCESS;
}
Status cuDevicePrimaryCtxRetain(void **context, int) { return *context = (void *)1, SUCCESS; }
Status cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
Status cuCtxSetCurrent(void *) { return SUCCESS; }
Status cuCtxGetCurrent(void **context) { return *context = (void *)1, SUCCESS; }
Status cuCtxSynchronize() { return waits_for_gpu++, SUCCESS; }
Status cuDeviceGetDefaultMemPool(void **pool, int) { return *pool = (void *)1, SUCCESS; }
Status cuMemPoolSetAttribute(void *, int, void *) { return SUCCESS; }
Status cuStreamCreate(void **stream, unsigned) { return *stream = (void *)3, SUCCESS; }
Status cuStreamDestroy_v2(void *) { return SUCCESS; }
Status cuStreamSynchronize(void *) { return waits_for_gpu++, SUCCESS; }
Status cuStreamWaitEvent(void *, void *, unsigned) { return SUCCESS; }
Status cuEventCreate(void **event, unsigned) { return *event = (void *)4, SUCCESS; }
Status cuEventRecord(void *, void *) { return SUCCESS; }
Status cuEventDestroy_v2(void *) { return SUCCESS; }
Status cuGetErrorName(int, const char **text) { return *text = "error", SUCCESS; }
Status cuGetErrorString(int, const char **text) { return *text = "an error of the GPU on the CPU", SUCCESS; }

Status cuMemAllocAsync(Address *at, size_t size, void *)
{
    if (size == 0)
        return INVALID;
    void *memory = malloc(size);
    memset(memory, 0xff, size);
    return *at = (Address)memory, SUCCESS;
}
Status cuMemAlloc_v2(Address *at, size_t size) { return cuMemAllocAsync(at, size, nullptr); }
Status cuMemFreeAsync(Address at, void *) { return free((void *)at), SUCCESS; }
Status cuMemFree_v2(Address at) { return free((void *)at), SUCCESS; }
Status cuMemcpyHtoDAsync_v2(Address to, const void *from, size_t size, void *)
{
    return memcpy((void *)to, from, size), SUCCESS;
}
Status cuMemcpyDtoHAsync_v2(void *to, Address from, size_t size, void *)
{
    return memcpy(to, (void *)from, size), SUCCESS;
}
Status cuMemcpyDtoDAsync_v2(Address to, Address from, size_t size, void *)
{
    return memcpy((void *)to, (void *)from, size), SUCCESS;
}
Status cuMemsetD8Async(Address at, unsigned char value, size_t size, void *)
{
    return memset((void *)at, value, size), SUCCESS;
}

Status cuModuleLoadData(void **module, const void *) { return *module = (void *)5, SUCCESS; }
Status cuModuleUnload(void *) { return SUCCESS; }
Status cuModuleGetFunction(void **function, void *, const char *name)
{
    auto found = KERNELS.find(name);
    if (found == KERNELS.end()) {
        fprintf(stderr, "gpu_on_cpu: there is no kernel %s\n", name);
        return NOT_FOUND;
    }
    *function = (void *)&*found;
    return SUCCESS;
}
Status cuLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                      unsigned shared, void *, void **args, void **)
{
    auto &[name, kernel] = *(const std::pair<const std::string, Kernel> *)function;
    if (gx == 0 || gy == 0 || gz == 0 || bx == 0 || bx > 1024 || (kernel.once ? false : gz * by * bz != 1 || shared)) {
        fprintf(stderr, "gpu_on_cpu: %s was launched over (%u %u %u) of (%u %u %u)\n", name.c_str(), gx, gy, gz, bx, by, bz);
        return INVALID;
    }
    count_launch(name.c_str());
    if (kernel.once)
        return kernel.run(args), SUCCESS;
    gridDim = {gx, gy, gz};
    blockDim = {bx, by, bz};
    arguments = args;
    body = kernel.run;
    for (unsigned y = 0; y < gy; y++)
        for (unsigned x = 0; x < gx; x++) {
            blockIdx = {x, y, 0};
            if (kernel.waits) {
                block_of_fibres();
                continue;
            }
            for (unsigned t = 0; t < bx; t++) {
                threadIdx = {t, 0, 0};
                kernel.run(args);
            }
        }
    return SUCCESS;
}
}
