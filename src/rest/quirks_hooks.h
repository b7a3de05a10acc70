/* Prototypes of the hooks that quirks.def names. Between quirks*.c only. */
#ifndef VEX_REST_QUIRKS_HOOKS_H
#define VEX_REST_QUIRKS_HOOKS_H

#include "rest/quirks.h"

#define EVERYWHERE(field, key, alias)
#define ENVELOPE(field)
#define RENAME(message, field, key, alias)
#define FLAG(message, field, flag)
#define WRAPPED(message, field)
#define DENY(message)
#define NEEDS(message, name)
#define READ(message, hook)              vex_jp_read_fn vex_jp_read_##hook;
#define FIELD(message, field, hook)      vex_jp_read_fn vex_jp_read_##hook;
#define EXTRA(message, key, alias, hook) vex_jp_read_fn vex_jp_read_##hook;
#define ENUM_AS_IS(enumeration)
#define ENUM_NAMELESS(enumeration)
#include "rest/quirks.def"
#undef EVERYWHERE
#undef ENVELOPE
#undef RENAME
#undef FLAG
#undef WRAPPED
#undef DENY
#undef NEEDS
#undef READ
#undef FIELD
#undef EXTRA
#undef ENUM_AS_IS
#undef ENUM_NAMELESS

#endif
