// Everything that only a GPU can do, behind functions. Kernels are written against these names and
// contain no assembly and no built-in variables, so that one source is compiled twice: by nvcc,
// with the functions of kernels/cuda/ptx/, and by the C++ compiler for the host execution model of
// the tests (tests/hostexec), which runs kernels one fiber per thread, with races and bounds
// checked.
//
// PTX ISA: https://docs.nvidia.com/cuda/parallel-thread-execution/
#pragma once

#if defined(ATTNLAB_HOSTEXEC)
#include <hostexec/ptx.h>
#elif defined(__CUDACC__)
#include "kernels/cuda/ptx/copy.h"
#include "kernels/cuda/ptx/mbarrier.h"
#include "kernels/cuda/ptx/mma.h"
#include "kernels/cuda/ptx/thread.h"
#include "kernels/cuda/ptx/tma.h"
#include "kernels/cuda/ptx/warp.h"
#include "kernels/cuda/ptx/wgmma.h"
#else
#error "kernels/cuda is compiled by nvcc, or with ATTNLAB_HOSTEXEC by the tests"
#endif
