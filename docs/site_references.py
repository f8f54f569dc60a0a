"""One list of all references of the course, from the sections "References" of its notebooks."""

import re


def references(notebook):
    """The references of a notebook, each a line of Markdown."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for section in re.findall(r"^## References\s*$(.*?)(?=^#|\Z)", cell.source, flags=re.MULTILINE | re.DOTALL):
                for item in re.findall(r"^[-*] +(.+(?:\n +\S.*)*)", section, flags=re.MULTILINE):
                    found += split(" ".join(item.split()))
    return found


def split(item):
    """A line "A: author, place. B: author, place." as its references.

    >>> split("T-PaiNN: [arXiv 1](https://x.y/1). QM9: R. et al., *Sci. Data* 2014.")
    ['T-PaiNN: [arXiv 1](https://x.y/1).', 'QM9: R. et al., *Sci. Data* 2014.']
    """
    return re.split(r"(?<=\.) (?=[^\s:.()\[\]]+(?: [^\s:.()\[\]]+){0,6}: )", item)


def keys(reference):
    """By what two references are the same: their addresses, or what they are about and its first author."""
    found = set(re.findall(r"\]\((\S+?)\)", reference))
    if name := re.match(r"([^:]+): ([^\s,\[]+)", reference):
        found.add(f"{name[1]}: {name[2]}".lower())
    return found or {reference}


def collected(cited):
    """[(reference, [who cites it])], each reference once and in its longest form, in order of its words.

    Parameters
    ----------
    cited : dict
        {who: list of references}.
    """
    groups = []  # (keys, longest text, who)
    for who, listed in cited.items():
        for reference in listed:
            same, text, names = keys(reference), reference, [who]
            for other in [group for group in groups if group[0] & same]:
                groups.remove(other)
                same, text, names = same | other[0], max(other[1], text, key=len), [*other[2], *names]
            groups.append((same, text, list(dict.fromkeys(names))))
    return [(text, names) for _, text, names in sorted(groups, key=lambda group: group[1].lower())]
