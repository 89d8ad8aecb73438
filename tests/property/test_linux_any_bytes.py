"""Whatever a setup header says, `plan_boot` plans a sound boot or says in one line why not."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from linux_image import BzImage

from ftvm.errors import ImageError, UsageError
from ftvm.machine.boot.image import BootFiles, plan_boot
from ftvm.machine.boot.plan import BootPlan

MIB = 1 << 20
MEMORY = 16 * MIB

ADDRESS = st.sampled_from([0, 0x10000, MIB - 1, MIB, 4 * MIB, MEMORY - 1, MEMORY, 0xFFFFFFFF])
WORD = ADDRESS | st.integers(0, 0xFFFFFFFF)

images = st.builds(
    BzImage,
    code=st.binary(min_size=0, max_size=64),
    setup_sectors=st.integers(0, 255),
    version=st.sampled_from([0x200, 0x202, 0x203, 0x20A, 0x20F]) | st.integers(0, 0xFFFF),
    header_end=st.sampled_from([0x202, 0x22C, 0x230, 0x26C]) | st.integers(0x202, 0x301),
    loadflags=st.integers(0, 255),
    code32_start=WORD,
    initrd_addr_max=WORD,
    cmdline_size=WORD,
    pref_address=WORD,
    init_size=WORD,
)


@settings(deadline=None, max_examples=300)
@given(images, st.binary(max_size=100), st.none() | st.binary(max_size=5000), st.data())
def test_any_header_makes_a_sound_plan_or_one_line(
    image: BzImage, damage: bytes, initrd: bytes | None, data: st.DataObject
) -> None:
    content = bytearray(image.build())
    if damage:
        at = data.draw(st.integers(0x1F1, 0x300 - len(damage)))
        content[at : at + len(damage)] = damage
    try:
        plan = plan_boot(BootFiles("k", bytes(content), "a b", initrd), MEMORY)
    except (ImageError, UsageError) as error:
        why = str(error)
    else:
        check(plan)
        return
    assert "\n" not in why


def check(plan: BootPlan) -> None:
    """Everything lies in memory, nothing on anything else, and the entry is in it."""
    spans = sorted((start, start + len(written)) for start, written in plan.segments)
    assert all(start >= 0 and end <= MEMORY for start, end in spans)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert any(start <= plan.entry < end for start, end in spans)
