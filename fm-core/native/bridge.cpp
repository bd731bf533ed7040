// All parts in one translation unit: libtorch's headers take longer to compile than everything that includes them.

#include "autocast.cpp"
#include "autograd.cpp"
#include "graph.cpp"
#include "group.cpp"
#include "precision.cpp"
#include "script.cpp"
