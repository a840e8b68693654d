// The attention with what every processor of the architecture has.
#define SLMD_SET baseline
#include "attend.h"
