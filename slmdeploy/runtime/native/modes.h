// What the runner can do, one function a mode.
#pragma once

#include "args.h"
#include "model.h"

namespace slmd {

void generate(Model& model, const Options& options);
void score(Model& model, const Options& options);
void invoke(Model& model, const Options& options);
void describe(Model& model);

}  // namespace slmd
