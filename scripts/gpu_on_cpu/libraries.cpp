// The few functions of cuBLAS, cuRAND and cuDNN that Fewlab and Candle call, in plain loops.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

void count_launch(const char *name);

static void complain(const char *what)
{
    fprintf(stderr, "gpu_on_cpu: %s\n", what);
    abort();
}

// ---- cuBLAS: matrices column by column ----

template <class T>
static int gemm(int ta, int tb, int m, int n, int k, T alpha, const T *a, int64_t lda, int64_t sa, const T *b, int64_t ldb,
                int64_t sb, T beta, T *c, int64_t ldc, int64_t sc, int batch)
{
    count_launch("gemm");
    if (lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m)
        complain("a matrix product was given a leading dimension that is too small");
    for (int i = 0; i < batch; i++)
        for (int col = 0; col < n; col++)
            for (int row = 0; row < m; row++) {
                double sum = 0;
                for (int l = 0; l < k; l++)
                    sum += (double)a[i * sa + (ta ? row * lda + l : l * lda + row)] *
                           (double)b[i * sb + (tb ? l * ldb + col : col * ldb + l)];
                T *out = &c[i * sc + col * ldc + row];
                *out = (T)(alpha * sum + (beta == 0 ? 0 : beta * *out));
            }
    return 0;
}

extern "C" {
int cublasCreate_v2(void **handle) { return *handle = (void *)1, 0; }
int cublasDestroy_v2(void *) { return 0; }
int cublasSetStream_v2(void *, void *) { return 0; }
int cublasSetMathMode(void *, int) { return 0; }
int cublasSetWorkspace_v2(void *, void *, size_t) { return 0; }
int cublasSetPointerMode_v2(void *, int) { return 0; }
int cublasGemmStridedBatchedEx(void *, int ta, int tb, int m, int n, int k, const void *alpha, const void *a, int type_a,
                               int lda, long long sa, const void *b, int, int ldb, long long sb, const void *beta, void *c,
                               int, int ldc, long long sc, int batch, int, int)
{
    if (type_a != 0)
        complain("a matrix product of a type other than f32");
    return gemm<float>(ta, tb, m, n, k, *(float *)alpha, (float *)a, lda, sa, (float *)b, ldb, sb, *(float *)beta, (float *)c,
                       ldc, sc, batch);
}
int cublasDgemmStridedBatched(void *, int ta, int tb, int m, int n, int k, const double *alpha, const double *a, int lda,
                              long long sa, const double *b, int ldb, long long sb, const double *beta, double *c, int ldc,
                              long long sc, int batch)
{
    return gemm<double>(ta, tb, m, n, k, *alpha, a, lda, sa, b, ldb, sb, *beta, c, ldc, sc, batch);
}

// ---- cuRAND: Fewlab draws its own numbers ----

int curandCreateGenerator(void **generator, int) { return *generator = (void *)1, 0; }
int curandDestroyGenerator(void *) { return 0; }
int curandSetStream(void *, void *) { return 0; }
int curandSetPseudoRandomGeneratorSeed(void *, unsigned long long) { return 0; }
}

// ---- cuDNN ----

struct Shape {
    int type, dims[4];
};
struct Convolution {
    int pad[2], stride[2], dilation[2], mode, type, math;
};
// One of cuDNN's three results of a search, which are alike.
struct Performance {
    int algorithm, status;
    float time;
    size_t memory;
    int determinism, math, reserved[3];
};

static void fits(const Shape *x, const Shape *w, const Convolution *c, const Shape *y)
{
    for (int i = 0; i < 2; i++)
        if (y->dims[2 + i] != (x->dims[2 + i] + 2 * c->pad[i] - w->dims[2 + i]) / c->stride[i] + 1)
            complain("a convolution's output has another size than its input and kernel give");
    if (x->dims[0] != y->dims[0] || x->dims[1] != w->dims[1] || y->dims[1] != w->dims[0] || c->mode != 1 ||
        x->type != w->type || x->type != y->type || x->type != c->type)
        complain("the shapes of a convolution do not fit");
}

// Calls `f(x, w, y)` with the places of all products.
template <class F> static void products(const Shape *xs, const Shape *ws, const Convolution *c, const Shape *ys, F f)
{
    fits(xs, ws, c, ys);
    const int *x = xs->dims, *w = ws->dims, *y = ys->dims;
    for (int n = 0; n < y[0]; n++)
        for (int o = 0; o < y[1]; o++)
            for (int i = 0; i < x[1]; i++)
                for (int r = 0; r < y[2]; r++)
                    for (int s = 0; s < y[3]; s++)
                        for (int u = 0; u < w[2]; u++)
                            for (int v = 0; v < w[3]; v++) {
                                int h = r * c->stride[0] + u - c->pad[0], k = s * c->stride[1] + v - c->pad[1];
                                if (h < 0 || h >= x[2] || k < 0 || k >= x[3])
                                    continue;
                                f(((n * x[1] + i) * x[2] + h) * x[3] + k, ((o * w[1] + i) * w[2] + u) * w[3] + v,
                                  ((n * y[1] + o) * y[2] + r) * y[3] + s);
                            }
}
template <class T>
static void convolve(int kind, const Shape *xs, T *x, const Shape *ws, T *w, const Convolution *c, const Shape *ys, T *y)
{
    const Shape *outs = kind == 0 ? ys : kind == 1 ? xs : ws;
    T *out = kind == 0 ? y : kind == 1 ? x : w;
    std::fill_n(out, (size_t)outs->dims[0] * outs->dims[1] * outs->dims[2] * outs->dims[3], (T)0);
    products(xs, ws, c, ys, [&](size_t i, size_t j, size_t k) {
        if (kind == 0)
            y[k] += x[i] * w[j];
        else if (kind == 1)
            x[i] += y[k] * w[j];
        else
            w[j] += x[i] * y[k];
    });
}
static int convolve_any(int kind, const Shape *xs, const void *x, const Shape *ws, const void *w, const Convolution *c,
                        const Shape *ys, const void *y, const void *workspace, size_t size)
{
    static const char *NAMES[] = {"convolution", "convolution_data", "convolution_weight"};
    count_launch(NAMES[kind]);
    // The workspace must be there.
    if (size > 0)
        memset((void *)workspace, 0, size);
    if (xs->type == 1)
        convolve(kind, xs, (double *)x, ws, (double *)w, c, ys, (double *)y);
    else
        convolve(kind, xs, (float *)x, ws, (float *)w, c, ys, (float *)y);
    return 0;
}
static int found(int *returned, Performance *results, const void *out, const Shape *shape)
{
    // The fastest is not deterministic, the next fails, the third is the one to take.
    results[0] = {1, 0, 1.0f, 0, 0, 0, {}};
    results[1] = {2, 3000, 1.5f, 0, 1, 0, {}};
    results[2] = {1, 0, 2.0f, 64, 1, 3, {}};
    *returned = 3;
    // Trials leave their result behind.
    size_t n = (size_t)shape->dims[0] * shape->dims[1] * shape->dims[2] * shape->dims[3];
    memset((void *)out, 0xff, n * (shape->type == 1 ? 8 : 4));
    return 0;
}

extern "C" {
int cudnnCreate(void **handle) { return *handle = (void *)1, 0; }
int cudnnDestroy(void *) { return 0; }
int cudnnSetStream(void *, void *) { return 0; }
int cudnnCreateTensorDescriptor(void **d) { return *d = calloc(1, sizeof(Shape)), 0; }
int cudnnCreateFilterDescriptor(void **d) { return *d = calloc(1, sizeof(Shape)), 0; }
int cudnnCreateConvolutionDescriptor(void **d) { return *d = calloc(1, sizeof(Convolution)), 0; }
int cudnnDestroyTensorDescriptor(void *d) { return free(d), 0; }
int cudnnDestroyFilterDescriptor(void *d) { return free(d), 0; }
int cudnnDestroyConvolutionDescriptor(void *d) { return free(d), 0; }
int cudnnSetTensor4dDescriptor(Shape *d, int format, int type, int n, int c, int h, int w)
{
    if (format != 0)
        complain("images channels last");
    return *d = {type, {n, c, h, w}}, 0;
}
int cudnnSetFilter4dDescriptor(Shape *d, int type, int, int k, int c, int h, int w)
{
    return *d = {type, {k, c, h, w}}, 0;
}
int cudnnSetConvolution2dDescriptor(Convolution *d, int ph, int pw, int sh, int sw, int dh, int dw, int mode, int type)
{
    return *d = {{ph, pw}, {sh, sw}, {dh, dw}, mode, type, 0}, 0;
}
int cudnnSetConvolutionMathType(Convolution *d, int math) { return d->math = math, 0; }
int cudnnGetConvolutionForwardWorkspaceSize(void *, Shape *, Shape *, Convolution *, Shape *, int a, size_t *size)
{
    return *size = 64 * (a == 1), 0;
}
int cudnnGetConvolutionBackwardDataWorkspaceSize(void *, Shape *, Shape *, Convolution *, Shape *, int a, size_t *size)
{
    return *size = 64 * (a == 1), 0;
}
int cudnnGetConvolutionBackwardFilterWorkspaceSize(void *, Shape *, Shape *, Convolution *, Shape *, int a, size_t *size)
{
    return *size = 64 * (a == 1), 0;
}
int cudnnFindConvolutionForwardAlgorithmEx(void *, Shape *, const void *, Shape *, const void *, Convolution *, Shape *ys,
                                           void *y, int, int *returned, Performance *results, void *, size_t)
{
    return found(returned, results, y, ys);
}
int cudnnFindConvolutionBackwardDataAlgorithmEx(void *, Shape *, const void *, Shape *, const void *, Convolution *,
                                                Shape *xs, void *x, int, int *returned, Performance *results, void *, size_t)
{
    return found(returned, results, x, xs);
}
int cudnnFindConvolutionBackwardFilterAlgorithmEx(void *, Shape *, const void *, Shape *, const void *, Convolution *,
                                                  Shape *ws, void *w, int, int *returned, Performance *results, void *,
                                                  size_t)
{
    return found(returned, results, w, ws);
}
int cudnnConvolutionForward(void *, const void *, Shape *xs, const void *x, Shape *ws, const void *w, Convolution *c, int,
                            void *workspace, size_t size, const void *, Shape *ys, void *y)
{
    return convolve_any(0, xs, x, ws, w, c, ys, y, workspace, size);
}
int cudnnConvolutionBackwardData(void *, const void *, Shape *ws, const void *w, Shape *ys, const void *y, Convolution *c,
                                 int, void *workspace, size_t size, const void *, Shape *xs, void *x)
{
    return convolve_any(1, xs, x, ws, w, c, ys, y, workspace, size);
}
int cudnnConvolutionBackwardFilter(void *, const void *, Shape *xs, const void *x, Shape *ys, const void *y, Convolution *c,
                                   int, void *workspace, size_t size, const void *, Shape *ws, void *w)
{
    return convolve_any(2, xs, x, ws, w, c, ys, y, workspace, size);
}
}

// ---- NVRTC: the kernels are compiled already, and the real one does not run beside AddressSanitizer ----

extern "C" {
int nvrtcCreateProgram(void **program, const char *, const char *, int, const char *const *, const char *const *)
{
    return *program = (void *)1, 0;
}
int nvrtcCompileProgram(void *, int, const char *const *) { return 0; }
int nvrtcDestroyProgram(void **program) { return *program = nullptr, 0; }
int nvrtcGetPTXSize(void *, size_t *size) { return *size = 1, 0; }
int nvrtcGetPTX(void *, char *text) { return *text = 0, 0; }
int nvrtcGetProgramLogSize(void *, size_t *size) { return *size = 1, 0; }
int nvrtcGetProgramLog(void *, char *text) { return *text = 0, 0; }
}
