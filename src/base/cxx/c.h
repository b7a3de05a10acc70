/* Our C headers as C++ sees them. A C struct and a function may share a name; g++ takes that for shadowing.
 */
#ifndef VEX_BASE_CXX_C_H
#define VEX_BASE_CXX_C_H

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
extern "C" {
#include "base/err.h"
#include "base/json_read.h"
#include "base/json_tape.h"
#include "base/number.h"
#include "base/str.h"
#include "base/text.h"
}
#pragma GCC diagnostic pop

#endif
