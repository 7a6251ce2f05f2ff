// What a GPU computes besides convolutions and matrix products. The text is compiled when a device is opened, once for
// each type of values: `real` is float or double, and every name ends in `_f32` or `_f64`.
//
// Nothing here adds in an order that varies: no atomic sums. Sums are taken in double precision. Elements are counted
// with 32 bits; the caller sees to it that there are fewer than 2^31.

#define PASTE2(name, type) name##_##type
#define PASTE(name, type) PASTE2(name, type)
#define KERNEL(name) extern "C" __global__ void PASTE(name, SUFFIX)
#define EACH(i, n) unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < (n); i += gridDim.x * blockDim.x
#define THREADS 256

typedef unsigned u32;
typedef unsigned long long u64;

// The sum over the threads of a block, whose number is a power of two of at most THREADS; every thread gets it.
static __device__ double block_sum(double value, double *room)
{
    room[threadIdx.x] = value;
    __syncthreads();
    for (u32 half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half)
            room[threadIdx.x] += room[threadIdx.x + half];
        __syncthreads();
    }
    double sum = room[0];
    __syncthreads();
    return sum;
}

// The largest of the values of a block; a NaN is larger than any number.
static __device__ real block_max(real value, real *room)
{
    room[threadIdx.x] = value;
    __syncthreads();
    for (u32 half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) {
            real other = room[threadIdx.x + half];
            if (other > room[threadIdx.x] || other != other)
                room[threadIdx.x] = other;
        }
        __syncthreads();
    }
    real top = room[0];
    __syncthreads();
    return top;
}

// ---- functions of one value ----

enum Map { AFFINE, EXP, LOG, SQRT, ABS, SIGN, POWER, TANH, SIGMOID, SOFTPLUS, LEAKY_RELU, CLAMP, INSIDE };

static __device__ real mapped(u32 map, real x, real a, real b)
{
    const real zero = 0, one = 1;
    switch (map) {
    case AFFINE: return x * a + b;
    case EXP: return exp(x);
    case LOG: return log(x);
    case SQRT: return sqrt(x);
    case ABS: return x < zero ? -x : x;
    case SIGN: return x > zero ? one : x < zero ? -one : x * zero;
    case POWER: return a == (real)2 ? x * x : pow(x, a);
    case TANH: return tanh(x);
    case SIGMOID: {
        // exp of a negative number never overflows.
        real e = exp(x >= zero ? -x : x);
        return (x >= zero ? one : e) / (one + e);
    }
    case SOFTPLUS: {
        double wide = x;
        return (real)((wide > 0 ? wide : wide == wide ? 0 : wide) + log1p(exp(wide > 0 ? -wide : wide)));
    }
    case LEAKY_RELU: return x <= zero ? (a == zero ? zero : x * a) : x;
    case CLAMP: return x < a ? a : x > b ? b : x;
    case INSIDE: return x >= a && x <= b ? one : zero;
    }
    return x;
}

KERNEL(map)(u32 map, u32 n, real a, real b, const real *x, real *y)
{
    for (EACH(i, n))
        y[i] = mapped(map, x[i], a, b);
}

// `g` where `y` is positive, `slope * g` elsewhere.
KERNEL(slope)(u32 n, real slope, const real *g, const real *y, real *out)
{
    for (EACH(i, n))
        out[i] = y[i] > (real)0 ? g[i] : g[i] * slope;
}

// Pixels of 0 to 255 as numbers from 0 to 1.
KERNEL(pixels)(u32 n, const unsigned char *x, real *y)
{
    for (EACH(i, n))
        y[i] = (real)x[i] / (real)255;
}

// ---- functions of two values ----

enum Pair { ADD, SUB, MUL, DIV, MAXIMUM, MINIMUM };

static __device__ real paired(u32 pair, real a, real b)
{
    switch (pair) {
    case ADD: return a + b;
    case SUB: return a - b;
    case MUL: return a * b;
    case DIV: return a / b;
    case MAXIMUM: return a >= b || a != a ? a : b;
    case MINIMUM: return a <= b || a != a ? a : b;
    }
    return a;
}

KERNEL(pair)(u32 pair, u32 n, const real *a, const real *b, real *out)
{
    for (EACH(i, n))
        out[i] = paired(pair, a[i], b[i]);
}

// How a result of `rank` dimensions walks over two inputs: steps of 0 repeat them.
#define RANK 6
struct Walk {
    u32 rank;
    u32 dims[RANK];
    u32 a[RANK];
    u32 b[RANK];
};

static __device__ void places(const Walk &walk, u32 i, u32 *at_a, u32 *at_b)
{
    u32 a = 0, b = 0;
    for (u32 d = walk.rank; d-- > 0;) {
        u32 rest = i / walk.dims[d], here = i - rest * walk.dims[d];
        a += here * walk.a[d];
        b += here * walk.b[d];
        i = rest;
    }
    *at_a = a;
    *at_b = b;
}

KERNEL(pair_wide)(u32 pair, u32 n, Walk walk, const real *a, const real *b, real *out)
{
    for (EACH(i, n)) {
        u32 at_a, at_b;
        places(walk, i, &at_a, &at_b);
        out[i] = paired(pair, a[at_a], b[at_b]);
    }
}

// The values of a strided tensor in row-major order, from `start` on. Steps back are steps of 2^32 less.
KERNEL(copy)(u32 n, u32 start, Walk walk, const real *x, real *out)
{
    for (EACH(i, n)) {
        u32 at, unused;
        places(walk, i, &at, &unused);
        out[i] = x[start + at];
    }
}

// `[outer, length, inner]` with zeros before and after the middle, to make it `full` long.
KERNEL(pad)(u32 n, u32 length, u32 inner, u32 before, u32 full, const real *x, real *out)
{
    for (EACH(i, n)) {
        u32 line = i / inner, k = i - line * inner;
        u32 outer = line / full, place = line - outer * full;
        out[i] = place >= before && place - before < length ? x[(outer * length + place - before) * inner + k] : (real)0;
    }
}

// `[planes, h, w]` with zeros around, to make it `full_h` by `full_w`.
KERNEL(pad_planes)(u32 n, u32 h, u32 w, u32 top, u32 left, u32 full_h, u32 full_w, const real *x, real *out)
{
    for (EACH(i, n)) {
        u32 line = i / full_w, column = i - line * full_w;
        u32 plane = line / full_h, row = line - plane * full_h;
        bool inside = row >= top && row - top < h && column >= left && column - left < w;
        out[i] = inside ? x[(plane * h + row - top) * w + column - left] : (real)0;
    }
}

// ---- sums ----

// One block for each output and each part of its values `[outer, length, inner]`: sums over the middle.
KERNEL(sum)(u32 length, u32 inner, u32 parts, const real *x, real *out, double *partial)
{
    __shared__ double room[THREADS];
    u32 output = blockIdx.x / parts, part = blockIdx.x - output * parts;
    u32 outer = output / inner, k = output - outer * inner;
    u32 step = (length + parts - 1) / parts, end = min(length, (part + 1) * step);
    double sum = 0;
    for (u32 l = part * step + threadIdx.x; l < end; l += blockDim.x)
        sum += x[(outer * length + l) * inner + k];
    sum = block_sum(sum, room);
    if (threadIdx.x == 0) {
        if (parts == 1)
            out[output] = (real)sum;
        else
            partial[blockIdx.x] = sum;
    }
}

// The same with one thread for each output: neighbours read neighbours.
KERNEL(sum_lines)(u32 outputs, u32 length, u32 inner, const real *x, real *out)
{
    for (EACH(i, outputs)) {
        u32 outer = i / inner, k = i - outer * inner;
        double sum = 0;
        for (u32 l = 0; l < length; l++)
            sum += x[(outer * length + l) * inner + k];
        out[i] = (real)sum;
    }
}

// Sums of products, in parts.
KERNEL(dot)(u32 length, u32 parts, const real *a, const real *b, real *out, double *partial)
{
    __shared__ double room[THREADS];
    u32 step = (length + parts - 1) / parts, end = min(length, (blockIdx.x + 1) * step);
    double sum = 0;
    for (u32 l = blockIdx.x * step + threadIdx.x; l < end; l += blockDim.x)
        sum += (double)a[l] * (double)b[l];
    sum = block_sum(sum, room);
    if (threadIdx.x == 0) {
        if (parts == 1)
            out[0] = (real)sum;
        else
            partial[blockIdx.x] = sum;
    }
}

// Adds up the parts of each output; one block for each.
KERNEL(sum_parts)(u32 parts, const double *partial, real *out)
{
    __shared__ double room[THREADS];
    double sum = 0;
    for (u32 l = threadIdx.x; l < parts; l += blockDim.x)
        sum += partial[blockIdx.x * parts + l];
    sum = block_sum(sum, room);
    if (threadIdx.x == 0)
        out[blockIdx.x] = (real)sum;
}

// Where the largest value of each line is, the first of equals; a NaN is larger than any number.
KERNEL(argmax)(u32 outputs, u32 length, u32 inner, const real *x, u32 *out)
{
    for (EACH(i, outputs)) {
        u32 outer = i / inner, k = i - outer * inner, best = 0;
        real top = x[outer * length * inner + k];
        for (u32 l = 1; l < length; l++) {
            real v = x[(outer * length + l) * inner + k];
            if (v > top || (v != v && top == top)) {
                top = v;
                best = l;
            }
        }
        out[i] = best;
    }
}

// ---- picking ----

KERNEL(gather)(u32 n, const real *x, const u32 *at, real *out)
{
    for (EACH(i, n))
        out[i] = x[at[i]];
}

// Each value to its place. No two have the same, so there is nothing to add up.
KERNEL(scatter)(u32 n, const real *x, const u32 *at, real *out)
{
    for (EACH(i, n))
        out[at[i]] = x[i];
}

// From places along the middle of `[outer, length, inner]` to places in all of it.
KERNEL(flat_places)(u32 n, u32 length, u32 inner, const u32 *places, u32 *out)
{
    for (EACH(i, n)) {
        u32 outer = i / inner, k = i - outer * inner;
        out[i] = (outer * length + places[i]) * inner + k;
    }
}

// Rows of `classes` values: 1 at the label, 0 elsewhere.
KERNEL(one_hot)(u32 n, u32 classes, const u32 *labels, real *out)
{
    for (EACH(i, n)) {
        u32 row = i / classes;
        out[i] = (real)(i - row * classes == labels[row] ? 1 : 0);
    }
}

// ---- softmax ----

// A block for each row: its softmax, or the logarithm of that.
KERNEL(softmax)(u32 length, u32 logarithm, const real *x, real *y)
{
    __shared__ double room[THREADS];
    __shared__ real tops[THREADS];
    const real *row = x + (u64)blockIdx.x * length;
    real *out = y + (u64)blockIdx.x * length;
    real top = row[threadIdx.x < length ? threadIdx.x : 0];
    for (u32 i = threadIdx.x; i < length; i += blockDim.x)
        top = row[i] > top || row[i] != row[i] ? row[i] : top;
    top = block_max(top, tops);
    double sum = 0;
    for (u32 i = threadIdx.x; i < length; i += blockDim.x)
        sum += exp(row[i] - top);
    sum = block_sum(sum, room);
    real shift = top + (real)log(sum), scale = (real)(1 / sum);
    for (u32 i = threadIdx.x; i < length; i += blockDim.x)
        out[i] = logarithm ? row[i] - shift : (real)exp(row[i] - top) * scale;
}

// The gradient of the same from its output `y`.
KERNEL(softmax_back)(u32 length, u32 logarithm, const real *y, const real *g, real *dx)
{
    __shared__ double room[THREADS];
    u64 row = (u64)blockIdx.x * length;
    double sum = 0;
    for (u32 i = threadIdx.x; i < length; i += blockDim.x)
        sum += logarithm ? (double)g[row + i] : (double)g[row + i] * (double)y[row + i];
    real total = (real)block_sum(sum, room);
    for (u32 i = threadIdx.x; i < length; i += blockDim.x) {
        real v = y[row + i], d = g[row + i];
        dx[row + i] = logarithm ? d - (real)exp(v) * total : v * (d - total);
    }
}

// ---- batch norm over [n, c, hw] ----

// Sums of x - shift and of its square over one part of one channel; `shift` is a value of the channel itself, for about 0
// a small variance would drown in a large mean.
KERNEL(norm_moments)(u32 n, u32 c, u32 hw, u32 parts, const real *x, double *partial)
{
    __shared__ double room[THREADS];
    u32 channel = blockIdx.x / parts, part = blockIdx.x - channel * parts;
    u32 count = n * hw, step = (count + parts - 1) / parts, end = min(count, (part + 1) * step);
    double shift = x[channel * hw], sum = 0, square = 0;
    for (u32 j = part * step + threadIdx.x; j < end; j += blockDim.x) {
        u32 item = j / hw;
        double d = (double)x[(item * c + channel) * hw + (j - item * hw)] - shift;
        sum += d;
        square += d * d;
    }
    sum = block_sum(sum, room);
    square = block_sum(square, room);
    if (threadIdx.x == 0) {
        partial[2 * blockIdx.x] = sum;
        partial[2 * blockIdx.x + 1] = square;
    }
}

KERNEL(norm_stats)(u32 n, u32 c, u32 hw, u32 parts, double epsilon, const real *x, const double *partial, real *mean,
                   real *variance, double *rstd)
{
    for (EACH(channel, c)) {
        double sum = 0, square = 0, count = (double)n * hw;
        for (u32 part = 0; part < parts; part++) {
            sum += partial[2 * (channel * parts + part)];
            square += partial[2 * (channel * parts + part) + 1];
        }
        sum /= count;
        double v = square / count - sum * sum;
        mean[channel] = (real)((double)x[channel * hw] + sum);
        variance[channel] = (real)(v > 0 || v != v ? v : 0);
        rstd[channel] = 1 / sqrt((double)variance[channel] + epsilon);
    }
}

// leaky((x - mean) * rstd * gamma + beta), rstd = 1 / sqrt(variance + epsilon); gamma and beta are `affine` long, c or n * c.
KERNEL(norm_apply)(u32 count, u32 c, u32 hw, u32 affine, real slope, const real *x, const real *mean, const double *rstd,
                   const real *gamma, const real *beta, real *y)
{
    for (EACH(i, count)) {
        u32 plane = i / hw, channel = plane % c, q = plane % affine;
        real scale = (real)((double)gamma[q] * rstd[channel]);
        real v = (x[i] - mean[channel]) * scale + beta[q];
        y[i] = v > (real)0 ? v : v * slope;
    }
}

// Of one plane, the sums of g' and of g' * (x - mean), where g' is g before the activation, whose output is y.
KERNEL(norm_back_moments)(u32 c, u32 hw, real slope, const real *x, const real *y, const real *g, const real *mean,
                          double *partial)
{
    __shared__ double room[THREADS];
    u32 first = blockIdx.x * hw;
    double centre = mean[blockIdx.x % c], sum = 0, product = 0;
    for (u32 j = threadIdx.x; j < hw; j += blockDim.x) {
        double d = y[first + j] > (real)0 ? g[first + j] : g[first + j] * slope;
        sum += d;
        product += d * ((double)x[first + j] - centre);
    }
    sum = block_sum(sum, room);
    product = block_sum(product, room);
    if (threadIdx.x == 0) {
        partial[2 * blockIdx.x] = sum;
        partial[2 * blockIdx.x + 1] = product;
    }
}

// A block for each channel: the gradients of gamma and beta, and what mean and variance carry back, with rstd: `carried`
// [c, 3].
KERNEL(norm_back_channels)(u32 n, u32 c, u32 hw, u32 affine, double epsilon, const double *partial, const real *variance,
                           const real *gamma, real *dgamma, real *dbeta, double *carried)
{
    __shared__ double room[THREADS];
    u32 channel = blockIdx.x;
    double rstd = 1 / sqrt((double)variance[channel] + epsilon), count = (double)n * hw;
    double sum = 0, product = 0, by_mean = 0, by_variance = 0;
    for (u32 item = threadIdx.x; item < n; item += blockDim.x) {
        u32 plane = item * c + channel, q = plane % affine;
        double s = partial[2 * plane], p = partial[2 * plane + 1];
        sum += s;
        product += p;
        by_mean += (double)gamma[q] * s;
        by_variance += (double)gamma[q] * p;
        if (affine != c) {
            dbeta[q] = (real)s;
            dgamma[q] = (real)(p * rstd);
        }
    }
    sum = block_sum(sum, room);
    product = block_sum(product, room);
    by_mean = block_sum(by_mean, room);
    by_variance = block_sum(by_variance, room);
    if (threadIdx.x == 0) {
        if (affine == c) {
            dbeta[channel] = (real)sum;
            dgamma[channel] = (real)(product * rstd);
        }
        carried[3 * channel] = rstd * by_mean / count;
        carried[3 * channel + 1] = rstd * rstd * rstd * by_variance / count;
        carried[3 * channel + 2] = rstd;
    }
}

KERNEL(norm_back)(u32 count, u32 c, u32 hw, u32 affine, real slope, const real *x, const real *y, const real *g,
                  const real *mean, const real *gamma, const double *carried, real *dx)
{
    for (EACH(i, count)) {
        u32 plane = i / hw, channel = plane % c, q = plane % affine;
        const double *by = carried + 3 * channel;
        real d = y[i] > (real)0 ? g[i] : g[i] * slope;
        dx[i] = d * (real)((double)gamma[q] * by[2]) - (real)by[0] - (x[i] - mean[channel]) * (real)by[1];
    }
}

// ---- pooling over [planes, h, w] ----

struct Pool {
    u32 h, w, kh, kw, stride_h, stride_w, top, left, out_h, out_w, count_padding;
};

// What a window that begins at `first` covers of `size` pixels behind `before` ones of padding.
static __device__ u32 begin_of(u32 first, u32 before)
{
    return first > before ? first - before : 0;
}

static __device__ u32 end_of(u32 first, u32 k, u32 before, u32 size)
{
    return first + k > before ? min(first + k - before, size) : 0;
}

static __device__ u32 window_count(const Pool &p, u32 r0, u32 r1, u32 c0, u32 c1)
{
    return p.count_padding ? p.kh * p.kw : (r1 > r0 ? r1 - r0 : 0) * (c1 > c0 ? c1 - c0 : 0);
}

KERNEL(average)(u32 n, Pool p, const real *x, real *out)
{
    for (EACH(i, n)) {
        u32 line = i / p.out_w, column = i - line * p.out_w, plane = line / p.out_h, row = line - plane * p.out_h;
        u32 r0 = begin_of(row * p.stride_h, p.top), r1 = end_of(row * p.stride_h, p.kh, p.top, p.h);
        u32 c0 = begin_of(column * p.stride_w, p.left), c1 = end_of(column * p.stride_w, p.kw, p.left, p.w);
        real sum = 0;
        for (u32 r = r0; r < r1; r++)
            for (u32 c = c0; c < c1; c++)
                sum += x[(plane * p.h + r) * p.w + c];
        u32 count = window_count(p, r0, r1, c0, c1);
        out[i] = count ? sum * ((real)1 / (real)count) : (real)0;
    }
}

// The first window along one side that covers pixel `at`, and the one after the last.
static __device__ u32 window_from(u32 at, u32 before, u32 k, u32 stride)
{
    return at + before < k ? 0 : (at + before - k) / stride + 1;
}

static __device__ u32 window_to(u32 at, u32 before, u32 stride, u32 windows)
{
    return min((at + before) / stride + 1, windows);
}

// The transpose of `average`: what each pixel gets from the windows that cover it.
KERNEL(average_back)(u32 n, Pool p, const real *g, real *dx)
{
    for (EACH(i, n)) {
        u32 line = i / p.w, column = i - line * p.w, plane = line / p.h, row = line - plane * p.h;
        u32 y1 = window_to(row, p.top, p.stride_h, p.out_h), x1 = window_to(column, p.left, p.stride_w, p.out_w);
        real sum = 0;
        for (u32 y = window_from(row, p.top, p.kh, p.stride_h); y < y1; y++)
            for (u32 x = window_from(column, p.left, p.kw, p.stride_w); x < x1; x++) {
                u32 r0 = begin_of(y * p.stride_h, p.top), r1 = end_of(y * p.stride_h, p.kh, p.top, p.h);
                u32 c0 = begin_of(x * p.stride_w, p.left), c1 = end_of(x * p.stride_w, p.kw, p.left, p.w);
                sum += g[(plane * p.out_h + y) * p.out_w + x] * ((real)1 / (real)window_count(p, r0, r1, c0, c1));
            }
        dx[i] = sum;
    }
}

// The place of the largest value of each window, the first of equals; padding is never the largest.
KERNEL(max_places)(u32 n, Pool p, const real *x, u32 *places)
{
    for (EACH(i, n)) {
        u32 line = i / p.out_w, column = i - line * p.out_w, plane = line / p.out_h, row = line - plane * p.out_h;
        u32 r0 = begin_of(row * p.stride_h, p.top), r1 = end_of(row * p.stride_h, p.kh, p.top, p.h);
        u32 c0 = begin_of(column * p.stride_w, p.left), c1 = end_of(column * p.stride_w, p.kw, p.left, p.w);
        u32 best = (plane * p.h + r0) * p.w + c0;
        for (u32 r = r0; r < r1; r++)
            for (u32 c = c0; c < c1; c++) {
                u32 at = (plane * p.h + r) * p.w + c;
                if (x[at] > x[best] || (x[at] != x[at] && x[best] == x[best]))
                    best = at;
            }
        places[i] = best;
    }
}

// What each pixel gets from the windows that found their largest value there.
KERNEL(max_back)(u32 n, Pool p, const u32 *places, const real *g, real *dx)
{
    for (EACH(i, n)) {
        u32 line = i / p.w, column = i - line * p.w, plane = line / p.h, row = line - plane * p.h;
        u32 y1 = window_to(row, p.top, p.stride_h, p.out_h), x1 = window_to(column, p.left, p.stride_w, p.out_w);
        real sum = 0;
        for (u32 y = window_from(row, p.top, p.kh, p.stride_h); y < y1; y++)
            for (u32 x = window_from(column, p.left, p.kw, p.stride_w); x < x1; x++) {
                u32 at = (plane * p.out_h + y) * p.out_w + x;
                if (places[at] == i)
                    sum += g[at];
            }
        dx[i] = sum;
    }
}

// ---- sizes of images ----

// Each pixel of `[planes, h, w]` `factor` times down and across, or once with zeros after it.
KERNEL(grow)(u32 n, u32 h, u32 w, u32 factor, u32 zeros, const real *x, real *out)
{
    for (EACH(i, n)) {
        u32 line = i / (w * factor), column = i - line * (w * factor);
        u32 plane = line / (h * factor), row = line - plane * (h * factor);
        bool filled = !zeros || (row % factor == 0 && column % factor == 0);
        out[i] = filled ? x[(plane * h + row / factor) * w + column / factor] : (real)0;
    }
}

// The transpose of `grow`, to `[planes, h, w]`.
KERNEL(shrink)(u32 n, u32 h, u32 w, u32 factor, u32 zeros, const real *g, real *out)
{
    for (EACH(i, n)) {
        u32 line = i / w, column = i - line * w;
        const real *block = g + (u64)line * factor * (w * factor) + column * factor;
        real sum = 0;
        for (u32 r = 0; r < (zeros ? 1 : factor); r++)
            for (u32 c = 0; c < (zeros ? 1 : factor); c++)
                sum += block[r * w * factor + c];
        out[i] = sum;
    }
}

// A sparse matrix along the middle of `[outer, length, inner]`: output `l` is the sum of `taps` weights times the values
// from `first[l]` on. Weights past the end are 0.
KERNEL(band)(u32 n, u32 length, u32 out_length, u32 inner, u32 taps, const u32 *first, const real *weights, const real *x,
             real *out)
{
    for (EACH(i, n)) {
        u32 line = i / inner, k = i - line * inner, outer = line / out_length, l = line - outer * out_length;
        real sum = 0;
        for (u32 tap = 0; tap < taps && first[l] + tap < length; tap++)
            sum += x[(outer * length + first[l] + tap) * inner + k] * weights[l * taps + tap];
        out[i] = sum;
    }
}

// ---- spectral norm of a matrix [rows, columns] ----

// A block for each row: its product with `v`.
KERNEL(rows_times)(u32 columns, const real *m, const real *v, double *out)
{
    __shared__ double room[THREADS];
    const real *row = m + (u64)blockIdx.x * columns;
    double sum = 0;
    for (u32 i = threadIdx.x; i < columns; i += blockDim.x)
        sum += (double)row[i] * (double)v[i];
    sum = block_sum(sum, room);
    if (threadIdx.x == 0)
        out[blockIdx.x] = sum;
}

// `u` times the matrix, of `step` rows at a time: `[parts, columns]`.
KERNEL(times_rows)(u32 rows, u32 columns, u32 step, const real *m, const real *u, double *out)
{
    u32 column = blockIdx.x * blockDim.x + threadIdx.x, end = min(rows, (blockIdx.y + 1) * step);
    if (column >= columns)
        return;
    double sum = 0;
    for (u32 r = blockIdx.y * step; r < end; r++)
        sum += (double)u[r] * (double)m[(u64)r * columns + column];
    out[(u64)blockIdx.y * columns + column] = sum;
}

// One block: the sum of the parts, brought to length 1, and its length before that.
KERNEL(unit)(u32 length, u32 parts, double epsilon, const double *partial, real *out, real *norm)
{
    __shared__ double room[THREADS];
    double square = 0;
    for (u32 i = threadIdx.x; i < length; i += blockDim.x) {
        double v = 0;
        for (u32 part = 0; part < parts; part++)
            v += partial[(u64)part * length + i];
        square += v * v;
    }
    square = block_sum(square, room);
    double root = sqrt(square < epsilon ? epsilon : square);
    for (u32 i = threadIdx.x; i < length; i += blockDim.x) {
        double v = 0;
        for (u32 part = 0; part < parts; part++)
            v += partial[(u64)part * length + i];
        out[i] = (real)(v / root);
    }
    if (threadIdx.x == 0)
        norm[0] = (real)(square / root);
}

// The gradient of m / sigma, sigma = left m right, from its gradient `g` and `inner` = sum of g * m.
KERNEL(spectral_back)(u32 n, u32 columns, const real *g, const real *sigma, const real *inner, const real *left,
                      const real *right, real *out)
{
    real s = sigma[0], part = inner[0] / (s * s);
    for (EACH(i, n)) {
        u32 row = i / columns;
        out[i] = g[i] / s - part * (left[row] * right[i - row * columns]);
    }
}

// ---- updates of many parameters in one launch: blockIdx.y is the parameter ----

#define MANY 60
struct Many {
    const real *value[MANY], *grad[MANY], *mean[MANY], *square[MANY];
    u64 at[MANY];
    u32 length[MANY];
};

// One step of Adam; the new values stand one after another in `value`, `mean`, `square`, each parameter from its `at` on.
KERNEL(adam)(Many many, real rate, real b1, real b2, real c1, real c2, real root_scale, real epsilon, real *value, real *mean,
             real *square)
{
    u32 which = blockIdx.y;
    const real *p = many.value[which], *g = many.grad[which], *m = many.mean[which], *v = many.square[which];
    u64 at = many.at[which];
    for (EACH(i, many.length[which])) {
        real slope = g[i];
        real new_m = b1 * m[i] + c1 * slope, new_v = b2 * v[i] + c2 * slope * slope;
        value[at + i] = p[i] - rate * new_m / (sqrt(new_v) * root_scale + epsilon);
        mean[at + i] = new_m;
        square[at + i] = new_v;
    }
}

// value + share * (grad - value), into `out`.
KERNEL(blend)(Many many, real share, real *out)
{
    u32 which = blockIdx.y;
    const real *old_value = many.value[which], *new_value = many.grad[which];
    u64 at = many.at[which];
    for (EACH(i, many.length[which]))
        out[at + i] = old_value[i] + share * (new_value[i] - old_value[i]);
}
