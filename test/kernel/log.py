"""Reads a kernel log whole and finds what a healthy kernel never prints."""
import re

# One pattern of trouble a line; case as the kernel prints it.
TROUBLE = re.compile(
    r"WARNING:|BUG:|BUG\b.*\bat\b|Oops|kernel panic|Kernel panic|general protection|Call Trace|stack segment|"
    r"unable to handle|possible (?:circular|recursive|irq|deadlock|unsafe|memory)|INFO: (?:task|rcu|trying|possible|suspicious)|"
    r"blocked for more than|soft lockup|hard LOCKUP|detected stall|self-detected stall|KASAN|UBSAN|KFENCE|refcount_t|"
    r"Redzone|Poison overwritten|[Pp]age_?poison|pagealloc: |Object already free|invalid-free|double-free|use-after-free|"
    r"list_(?:add|del) corruption|ODEBUG|DEBUG_LOCKS|held lock|lock held|sleeping function|scheduling while atomic|"
    r"Bad page|bad page state|Bad rss|nf_conntrack.*corrupt|kmemleak: [1-9]|unreferenced object|memory leak|"
    r"Out of memory|oom-kill|segfault at|trap .* ip:|traps: |usercopy: |EXT4-fs error|I/O error|vexfs-boot: |"
    r"disagrees about|Unknown symbol|exec format"
)

# Lines of the emulated hardware and of a kernel that states its own checks; nothing of ours may ever be named here.
ALLOWED = (
    r"kmemleak: Kernel memory leak detector initialized",
    r"rcu: \s*RCU callback double-/use-after-free debug is enabled",
    r"\bKASAN: KernelAddressSanitizer initialized",
    r"kasan: KernelAddressSanitizer initialized",
    r"Command line:",
    r"Kernel command line:",
    r"Unknown kernel command line parameters",
    r"(?:Lock dependency validator|MAX_LOCK|locking dependency|per task-struct memory footprint)",
)
ALLOWED_RE = re.compile("|".join(ALLOWED))


def trouble(text):
    """The lines that fail a run, each with what follows it, as a list of (line number, text)."""
    return [(number, line) for number, line in enumerate(text.splitlines(), 1) if TROUBLE.search(line) and not ALLOWED_RE.search(line)]


def check(path):
    """Prints what is wrong with a log; True when nothing is."""
    text = path.read_text(errors="replace")
    found = trouble(text)
    if not found:
        print(f"kernel log: {text.count(chr(10))} lines, nothing wrong")
        return True
    lines = text.splitlines()
    print(f"kernel log: {len(found)} lines of trouble in {path}; from the first:")
    first = found[0][0]
    print("\n".join(lines[max(0, first - 4) : first + 60]))
    return False
