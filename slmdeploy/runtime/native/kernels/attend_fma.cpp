// The attention for x86-64 with AVX2 and FMA: compiled with -mavx2 -mfma.
#if defined(__x86_64__)
#define SLMD_SET fma
#include "attend.h"
#endif
