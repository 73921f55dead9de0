// Host side of kernels/cuda/ptx.h: the same functions, executed by the emulator. Each takes the
// place of its call as a last, defaulted parameter, for reports.
#pragma once

#include "hostexec/copy.h"
#include "hostexec/hopper/wgmma.h"
#include "hostexec/mma.h"
#include "hostexec/thread.h"
#include "hostexec/warp.h"
