/* Routes: literals before parameters, decoding, slashes, methods. */
#include <CUnit/CUnit.h>

#include "base_suite.h"
#include "rest/router.h"

static const struct vex_route routes[] = {
    {"GET", "/", true, "root"},
    {"GET", "/collections", false, "list"},
    {"GET", "/collections/{name}", false, "get"},
    {"PUT", "/collections/{name}", false, "put"},
    {"POST", "/collections/aliases", false, "aliases"},
    {"POST", "/collections/{name}/points", false, "points"},
    {"POST", "/collections/{name}/points/{id}", false, "point"},
    {"POST", "/collections/{name}/points/scroll", false, "scroll"},
    {"DELETE", "/a/{b}/c/{d}/e/{f}", false, "deep"},
};

static struct vex_router *router;
static struct vex_arena arena;
static struct vex_str params[VEX_ROUTE_PARAMS_MAX];

static const char *find(const char *method, const char *path, enum vex_route_found wanted)
{
    const struct vex_route *route;
    enum vex_route_found found =
        vex_router_find(router, vex_str_c(method), vex_str_c(path), &arena, &route, params);
    CU_ASSERT_EQUAL(found, wanted);
    return found == VEX_ROUTE_FOUND ? route->detail : "";
}

static void literals_win(void)
{
    CU_ASSERT_STRING_EQUAL(find("GET", "/", VEX_ROUTE_FOUND), "root");
    CU_ASSERT_STRING_EQUAL(find("GET", "/collections", VEX_ROUTE_FOUND), "list");
    CU_ASSERT_STRING_EQUAL(find("GET", "/collections/aliases", VEX_ROUTE_FOUND), "get");
    CU_ASSERT_STRING_EQUAL(find("POST", "/collections/aliases", VEX_ROUTE_FOUND), "aliases");
    CU_ASSERT_STRING_EQUAL(find("POST", "/collections/x/points/scroll", VEX_ROUTE_FOUND), "scroll");
    CU_ASSERT_STRING_EQUAL(find("POST", "/collections/x/points/scrol", VEX_ROUTE_FOUND), "point");
    CU_ASSERT(vex_str_eq_c(params[1], "scrol"));
}

static void parameters_are_decoded(void)
{
    find("GET", "/collections/a%2Fb%20%C3%A4+", VEX_ROUTE_FOUND);
    CU_ASSERT(vex_str_eq_c(params[0], "a/b \xc3\xa4+"));
    find("DELETE", "/a/1/c/2/e/3", VEX_ROUTE_FOUND);
    CU_ASSERT(vex_str_eq_c(params[0], "1") && vex_str_eq_c(params[1], "2") && vex_str_eq_c(params[2], "3"));
    find("GET", "/collections/%", VEX_ROUTE_BAD_ESCAPE);
    find("GET", "/collections/%f", VEX_ROUTE_BAD_ESCAPE);
    find("GET", "/collections/%ff", VEX_ROUTE_BAD_ESCAPE); /* not UTF-8 */
}

static void what_is_not_there(void)
{
    find("GET", "/nope", VEX_ROUTE_NONE);
    find("GET", "/collections/a/b", VEX_ROUTE_NONE);
    find("DELETE", "/collections/a", VEX_ROUTE_NO_METHOD);
    find("get", "/collections", VEX_ROUTE_NO_METHOD);
    find("GET", "collections", VEX_ROUTE_NONE);
    find("GET", "/collections//", VEX_ROUTE_FOUND);       /* trailing slashes go */
    find("POST", "/collections//points", VEX_ROUTE_NONE); /* an empty parameter is none */
    find("GET", "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18", VEX_ROUTE_NONE);
    find("GET", "", VEX_ROUTE_FOUND);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"literals win", literals_win},
        {"parameters are decoded", parameters_are_decoded},
        {"what is not there", what_is_not_there},
        CU_TEST_INFO_NULL,
    };
    vex_arena_init(&arena, 0);
    router = vex_router_new(routes, sizeof routes / sizeof *routes);
    int code = run_suite("rest router", tests);
    vex_router_free(router);
    vex_arena_done(&arena);
    return code;
}
