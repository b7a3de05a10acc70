/* Filter tree: binding.
 *
 * Role   Turns a tree as it was asked for into one that can be matched: lists sorted, words cut, patterns
 * compiled, vector names resolved. Binding twice is fine (lists are sorted again, patterns compiled again).
 * Owner  The binding owns the compiled patterns; the arena all else. */
#include "engine/filter/tree.h"

#include <stdlib.h>

#include "base/text.h"
#include "engine/filter/match_parts.h"
#include "engine/text/analyzer.h"

#define REGEXES_MAX 1024 /* patterns of one filter */

/* Where a filter stands: NULL, or the array whose elements it looks at. */
struct place {
    const struct place *outer;
    const struct vex_path *array;
};

static int bind_filter(struct vex_filter *filter, struct vex_filter_binding *binding,
                       const struct place *place, unsigned depth, struct vex_err *err);

static int bind_regex(struct vex_cond *cond, struct vex_filter_binding *binding, struct vex_err *err)
{
    struct vex_regex *regex;
    int rc;

    if (binding->regexes == NULL)
        binding->regexes = VEX_ARENA_ARRAY(binding->arena, struct vex_regex *, REGEXES_MAX);
    if (binding->regex_count == REGEXES_MAX)
        return vex_err_set(err, VEX_EBAD_INPUT, "More than %d regular expressions in a filter", REGEXES_MAX);
    rc = vex_regex_new(cond->text, &regex, err);
    if (rc != 0)
        return rc;
    binding->regexes[binding->regex_count++] = regex;
    cond->bound.regex = regex;
    return 0;
}

/* The path from the payload's root: a filter on elements says `b` for `a[].b`. */
static struct vex_path path_from_root(struct vex_arena *arena, const struct place *place,
                                      struct vex_path path)
{
    for (; place != NULL; place = place->outer) {
        const struct vex_path *array = place->array;
        bool each = array->count > 0 && array->steps[array->count - 1].kind == VEX_STEP_ALL;
        uint32_t above = array->count + !each;
        struct vex_step *steps = VEX_ARENA_ARRAY(arena, struct vex_step, above + path.count);
        struct vex_buf text;

        memcpy(steps, array->steps, array->count * sizeof *steps);
        steps[above - 1].kind = VEX_STEP_ALL;
        memcpy(steps + above, path.steps, path.count * sizeof *steps);
        vex_buf_init(&text, arena);
        vex_buf_add_str(&text, array->text);
        vex_buf_add_str(&text, each ? VEX_STR(".") : VEX_STR("[]."));
        vex_buf_add_str(&text, path.text);
        path = (struct vex_path){vex_buf_str(&text), steps, above + path.count};
    }
    return path;
}

static void bind_text(struct vex_cond *cond, struct vex_filter_binding *binding, const struct place *place)
{
    const struct vex_analyzer *analyzer = NULL;

    if (binding->analyzer != NULL) {
        struct vex_path path = path_from_root(binding->arena, place, cond->path);
        analyzer = binding->analyzer(binding->arg, &path);
    }
    cond->bound.analyzer = analyzer != NULL ? analyzer : vex_analyzer_default();
    vex_bind_words(binding->arena, cond);
}

static int by_id(const void *a, const void *b)
{
    return vex_id_cmp(a, b);
}

static int bind_cond(struct vex_cond *cond, struct vex_filter_binding *binding, const struct place *place,
                     unsigned depth, struct vex_err *err)
{
    struct place inner = {place, &cond->path};

    switch (cond->kind) {
    case VEX_COND_FILTER:
        return bind_filter(cond->sub, binding, place, depth + 1, err);
    case VEX_COND_IS_EMPTY:
        cond->bound.elements =
            place == NULL && binding->elements != NULL ? binding->elements(binding->arg, &cond->path) : 0;
        return 0;
    case VEX_COND_NESTED:
        return bind_filter(cond->sub, binding, &inner, depth + 1, err);
    case VEX_COND_ANY:
    case VEX_COND_EXCEPT:
    case VEX_COND_NUMBERS:
        vex_bind_values(&cond->values);
        return 0;
    case VEX_COND_TEXT:
    case VEX_COND_TEXT_ANY:
    case VEX_COND_PHRASE:
        bind_text(cond, binding, place);
        return 0;
    case VEX_COND_REGEX:
        return bind_regex(cond, binding, err);
    case VEX_COND_HAS_ID:
        if (cond->ids.count > 1)
            qsort(cond->ids.ids, cond->ids.count, sizeof *cond->ids.ids, by_id);
        return 0;
    case VEX_COND_HAS_VECTOR:
        cond->bound.vector_mask =
            binding->vector_bit != NULL ? binding->vector_bit(binding->arg, cond->text) : 0;
        return 0;
    default:
        return 0;
    }
}

static int bind_list(struct vex_cond_list *list, struct vex_filter_binding *binding,
                     const struct place *place, unsigned depth, struct vex_err *err)
{
    for (uint32_t i = 0; i < list->count; i++) {
        int rc = bind_cond(&list->conds[i], binding, place, depth, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int bind_filter(struct vex_filter *filter, struct vex_filter_binding *binding,
                       const struct place *place, unsigned depth, struct vex_err *err)
{
    struct vex_cond_list *lists[] = {&filter->must, &filter->should, &filter->must_not, &filter->min_should};

    if (depth >= VEX_FILTER_DEPTH_MAX)
        return vex_err_set(err, VEX_EBAD_INPUT, "Filter is nested deeper than %d levels",
                           VEX_FILTER_DEPTH_MAX);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        int rc = bind_list(lists[i], binding, place, depth, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

int vex_filter_bind(struct vex_filter *filter, struct vex_filter_binding *binding, struct vex_err *err)
{
    int rc;

    binding->regexes = NULL;
    binding->regex_count = 0;
    if (filter == NULL)
        return 0;
    rc = bind_filter(filter, binding, NULL, 0, err);
    if (rc != 0)
        vex_filter_unbind(binding);
    return rc;
}

void vex_filter_unbind(struct vex_filter_binding *binding)
{
    for (uint32_t i = 0; i < binding->regex_count; i++)
        vex_regex_free(binding->regexes[i]);
    binding->regex_count = 0;
}
