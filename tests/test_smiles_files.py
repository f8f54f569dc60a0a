"""Lists of SMILES as other programs write them: the right column, or a question."""

import gzip

import pytest

from tpainn_lite.reading.smiles_files import is_smiles_file, read_smiles
from tpainn_lite.structures.arguments import DatasetError


def read(folder, name, text, encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return read_smiles(path)


@pytest.mark.parametrize("name", ["smiles", "SMILES", "Smiles", "canonical_smiles", "Canonical SMILES", "smi"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_is_read_by_the_column_that_its_head_calls_smiles(tmp_path, name, delimiter):
    lines = [("name", name, "y"), ("CO", "[C-]#[O+]", "1"), ("NO", "N=O", "2"), ("methanol", "CO", "3")]
    text = "\n".join(map(delimiter.join, lines))
    smiles, line = read(tmp_path, "a.csv", text)
    assert smiles == ["[C-]#[O+]", "N=O", "CO"]
    assert line == f"a.csv: 3 SMILES from the column {name!r}"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("\ufeffsmiles,name\r\nCCO,a\r\n", "utf-8"), ('"SMILES","id"\n"CCO","1"\n', "utf-8"),
        ("SMILES;id\nCCO;1", "utf-8"), ("smiles,name\nCCO,Café\n", "latin-1"), ("smiles\tname\nCCO\té\n", "utf-16"),
        ("\ufeffsmiles,name\nCCO,é\n", "utf-16-be"), ("\ufeffsmiles,name\nCCO,é\n", "utf-16"),
        ("smiles,name\nCCO,x\n", "utf-16-le"), ("smiles\rCCO\r", "ascii"),
        ("sep=;\nname;smiles\nx;CCO\n", "utf-8"), ("# mine\nname,smiles\nx,CCO\n", "utf-8"),
        ('name,smiles\n"ethanol, ""pure""",CCO\n', "utf-8"), ('smiles,note\nCCO,"two\nlines"\n', "utf-8"),
        ("smiles,name\nCCO # the first,x\n", "utf-8"), ("#SMILES,name\nCCO,CO\n", "utf-8"),
        ("isomeric_smiles,canonical_smiles\nCCO,OCC\n", "utf-8"), ("smiles_length,mol_smiles\n3,CCO\n", "utf-8"),
    ],
)  # fmt: skip
def test_a_table_is_read_however_it_is_written(tmp_path, text, encoding):
    assert read(tmp_path, "a.csv", text, encoding)[0] == ["CCO"]


@pytest.mark.parametrize(
    "text",
    [
        "CCO\nCCN\n", "CCO\r\nCCN\r\n", "CCO CO\nCCN NO\n", "CCO\tethanol, pure\nCCN\tx y\n", "CCO,ethanol\nCCN,x\n",
        "\ufeffCCO\nCCN", "# mine\nCCO # ethanol\n\nCCN\n", "smiles name\nCCO x\nCCN y\n",
        "name smiles\nx CCO\ny CCN\n",
        "#SMILES\tID\nCCO\tCO\nCCN\tNO\n", "CCO |r|\nCCN\n", "Canonical SMILES\nCCO\nCCN\n", '"CCO"\n"CCN"\n',
    ],
)  # fmt: skip
def test_of_a_list_the_first_word_of_each_line_is_taken_whatever_the_names_are(tmp_path, text):
    for name in ("a.smi", "a.txt", "A.SMI"):
        assert read(tmp_path, name, text)[0] == ["CCO", "CCN"]


@pytest.mark.parametrize("text", ["id,structure,y\na,CCO,1.2\nb,CCN,3\n", "1,CCO,x\n2,CCN,y\n"])
def test_without_a_head_the_only_column_that_rdkit_can_read_is_taken_and_that_is_said(tmp_path, text):
    smiles, line = read(tmp_path, "a.csv", text)
    assert smiles == ["CCO", "CCN"] and "from column 2, the only one that RDKit can read" in line


def test_where_two_columns_could_be_meant_the_reader_asks(tmp_path):
    with pytest.raises(DatasetError, match=r"column 1 \(CO, NO\) and column 2 \(.*\) can be read as SMILES; put a"):
        read(tmp_path, "a.csv", "CO,[C-]#[O+]\nNO,N=O\n")
    with pytest.raises(
        DatasetError, match=r"2 columns of SMILES \('smiles_a', 'smiles_b'\); call the right one 'smiles'"
    ):
        read(tmp_path, "a.csv", "smiles_a,smiles_b\nC,CC\n")


def test_empty_and_repeated_cells_are_counted(tmp_path):
    smiles, line = read(tmp_path, "a.csv", "smiles,id\nCCO,1\n,2\nCCO,3\n  ,4\nC,5\n\n")
    assert smiles == ["CCO", "C"] and line.endswith("left out: 2 empty, 1 repeated")


@pytest.mark.parametrize("text", ['name,smiles\n"ethanol,CCO\nb,CCN\n', 'smiles,name\nC,"x\nCC,y\nCCC,"z\n'])
def test_a_quote_that_is_not_closed_swallows_no_molecules(tmp_path, text):
    with pytest.raises(DatasetError, match="a quote in the table is opened and not closed"):
        read(tmp_path, "a.csv", text)


@pytest.mark.parametrize("name", ["a.smi", "a.csv"])
def test_a_list_without_molecules_is_empty_and_one_with_a_very_long_line_is_read_or_refused(tmp_path, name):
    for text in ("", "# nothing yet\n", ",,,\n", "smiles,name\n"):
        assert read(tmp_path, name, text)[0] == []
    assert read(tmp_path, "a.smi", "CCO " + "x" * 1_000_000)[0] == ["CCO"]
    with pytest.raises(DatasetError, match="has a SMILES of more than 1000 characters"):
        read(tmp_path, name, "C" * 1_000_000)


def test_packed_lists_are_read_and_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "a.smi.gz").write_bytes(gzip.compress(b"CCO x\n"))
    assert is_smiles_file(tmp_path / "a.smi.gz") and read_smiles(tmp_path / "a.smi.gz")[0] == ["CCO"]
    for name, content in (("b.smi", bytes(range(256))), ("c.smi.gz", b"CCO\n"), ("d.smi", b"\xff\xfeC\0C")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DatasetError, match=r"is no text|is damaged, or not what its name says"):
            read_smiles(tmp_path / name)


def test_a_list_with_names_first_is_turned_round_or_asked_about(tmp_path):
    assert read(tmp_path, "a.smi", "ethanol CCO\nmethane C\nbutane CCCC\n")[0] == ["CCO", "C", "CCCC"]
    with pytest.raises(DatasetError, match="column 1 .ethanol, CO. and column 2"):
        read(tmp_path, "a.smi", "ethanol CCO\nCO [C-]#[O+]\n")
    assert read(tmp_path, "a.smi", "CCO C\nCC(=O\nCC N\n")[0] == ["CCO", "CC(=O", "CC"]
