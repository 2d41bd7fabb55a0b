// What the kernels of MXNet 1.9.1 trust and MXNet does not compare with the shapes.
// detkit/export/graph/kernels.py has the rules, and checks the same.
#pragma once

#include "nodes.hpp"

namespace detkit {

// Tells what is wrong if MXNet's inference of a node would fail. `nodes` is the graph with the
// shapes of what the node reads.
Wrong check_inference(const ShapedNodes& nodes, const ShapedNode& node);

// Tells what is wrong if a node's kernel would. `nodes` also has the shapes of its outputs.
Wrong check_kernel(const ShapedNodes& nodes, const ShapedNode& node);

}  // namespace detkit
