// SPDX-License-Identifier: GPL-2.0-only
/* Which arithmetic measures distances on this CPU. See score.h. */
#include "uapi/kmod/score.h"

#include <linux/build_bug.h>
#include <linux/module.h>
#ifdef CONFIG_X86_64
#include <asm/cpufeature.h>
#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>
#endif

#include "uapi/kmod/soft.h"
#include "uapi/kmod/store.h"

static_assert((int)VEX_SCORE_F32 == (int)VEX_ELEMENT_F32 && (int)VEX_SCORE_F16 == (int)VEX_ELEMENT_F16 &&
              (int)VEX_SCORE_U8 == (int)VEX_ELEMENT_U8);
static_assert(VEX_SCORE_L2 == VEXFS_SEARCH_EUCLIDEAN && VEX_SCORE_COSINE == VEXFS_SEARCH_COSINE &&
              VEX_SCORE_DOT == VEXFS_SEARCH_DOT_PRODUCT && VEX_SCORE_L1 == VEXFS_SEARCH_MANHATTAN);

static bool portable;
module_param(portable, bool, 0644);
MODULE_PARM_DESC(portable, "measure distances without the floating point unit, as other CPUs do");

#ifdef CONFIG_X86_64
static bool use_avx2(void)
{
    return !READ_ONCE(portable) && boot_cpu_has(X86_FEATURE_AVX2) && boot_cpu_has(X86_FEATURE_FMA) &&
           boot_cpu_has(X86_FEATURE_F16C) && boot_cpu_has(X86_FEATURE_OSXSAVE) &&
           cpu_has_xfeatures(XFEATURE_MASK_SSE | XFEATURE_MASK_YMM, NULL);
}
#else
static bool use_avx2(void)
{
    return false;
}
#endif

const char *vex_score_name(void)
{
    return use_avx2() ? "avx2" : "portable";
}

void vex_score(unsigned int distance, unsigned int element, const unsigned int *query,
               const void *const *vectors, unsigned int count, unsigned int dimensions, unsigned int *ret)
{
    if (distance == VEX_SCORE_COSINE)
        distance = VEX_SCORE_DOT;
#ifdef CONFIG_X86_64
    if (use_avx2()) {
        kernel_fpu_begin();
        vex_score_avx2(distance, element, query, vectors, count, dimensions, ret);
        kernel_fpu_end();
        return;
    }
#endif
    vex_soft_score(distance, element, query, vectors, count, dimensions, ret);
}
