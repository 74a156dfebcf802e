"""numba kernels that number the regions of a mask, and find which classes come near each."""
# mypy: ignore-errors

from dhr.ops.compiled import kernel


@kernel
def number_regions(mask, wanted, regions, count):
    """Regions (h, w) from 0, -1 for labels that are not ``wanted`` (256,); their number goes to ``count`` (1,).

    Union-find in one array: while regions are joined, a pixel holds the place of an earlier pixel of its region. The
    first pixel of a region holds its own place.
    """
    height, width = mask.shape
    flat = regions.reshape(-1)
    for y in range(height):
        for x in range(width):
            here, label = y * width + x, mask[y, x]
            if not wanted[label]:
                flat[here] = -1
                continue
            root = here
            for step in range(4):  # left, upper left, above, upper right
                y2 = y if step == 0 else y - 1
                x2 = x - 1 if step == 0 else x + step - 2
                if y2 < 0 or x2 < 0 or x2 >= width or mask[y2, x2] != label:
                    continue
                other = y2 * width + x2
                while flat[other] != other:
                    flat[other] = flat[flat[other]]
                    other = flat[other]
                if other < root:
                    if root != here:
                        flat[root] = other
                    root = other
                else:
                    flat[other] = root
            flat[here] = root
    found = 0
    for here in range(height * width):
        # Earlier pixels hold their region's number already, as -2 - number, to tell it from a place.
        if flat[here] == here:
            flat[here] = -2 - found
            found += 1
        elif flat[here] >= 0:
            flat[here] = flat[flat[here]]
    for here in range(height * width):
        if flat[here] < -1:
            flat[here] = -2 - flat[here]
    count[0] = found


@kernel
def measure_regions(mask, wanted, regions, dy, dx, labels, areas, touches):
    """Class and area of each region, and the wanted classes (n, 256) that lie at one of the offsets dy, dx from it.

    Only pixels beside one of another label are looked at: of two regions, the pixels that are nearest to each other are
    among them.
    """
    height, width = mask.shape
    for y in range(height):
        for x in range(width):
            region = regions[y, x]
            if region < 0:
                continue
            label = mask[y, x]
            labels[region] = label
            areas[region] += 1
            edge = (
                (y > 0 and mask[y - 1, x] != label)
                or (x > 0 and mask[y, x - 1] != label)
                or (y + 1 < height and mask[y + 1, x] != label)
                or (x + 1 < width and mask[y, x + 1] != label)
            )
            if not edge:
                continue
            for step in range(len(dy)):
                y2, x2 = y + dy[step], x + dx[step]
                if y2 < 0 or x2 < 0 or y2 >= height or x2 >= width:
                    continue
                other = mask[y2, x2]
                if other != label and wanted[other]:
                    touches[region, other] = True
