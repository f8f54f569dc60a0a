"""What `molecules_wide.py` builds with: rings, chains, groups, amino acids, ions, all written by ourselves.

An open bond is written ``*``.  A core has none: it is joined where it has a hydrogen on a carbon.
"""

CORES = (
    # chains
    "C", "CC", "CCC", "CCCC", "CC(C)C", "C=C", "CC=C", "C=CC=C", "CC#C", "COC", "CCOCC", "CNC", "CN(C)C", "CSC",
    "CC(C)=O",
    # rings of carbon
    "c1ccccc1", "C1CC1", "C1CCC1", "C1CCCC1", "C1CCCCC1", "C1CCCCCC1", "C1=CCCCC1", "C1=CCCC1", "c1ccc2ccccc2c1",
    "C1Cc2ccccc2C1", "C1CCc2ccccc2C1", "C1CC2CCC1C2", "C1CCC2CCCCC2C1",
    # with nitrogen
    "c1ccncc1", "c1cnccn1", "c1cncnc1", "c1ccnnc1", "c1cc[nH]c1", "c1c[nH]cn1", "c1cn[nH]c1", "c1nc[nH]n1",
    "c1c[nH]nn1",
    "Cn1cccc1", "Cn1ccnc1", "Cn1cccn1", "c1ccc2[nH]ccc2c1", "c1ccc2ncccc2c1", "c1ccc2[nH]cnc2c1", "c1ccc2cnccc2c1",
    "c1ncc2nc[nH]c2n1", "C1CNC1", "C1CCNC1", "C1CCNCC1", "C1CNCCN1", "CN1CCNCC1", "CN1CCCC1", "CN1CCCCC1",
    "C1CNc2ccccc2C1",
    "C1CN2CCC1CC2", "c1nnn[nH]1", "c1ncncn1",
    # with oxygen
    "c1ccoc1", "C1CCOC1", "C1CCOCC1", "C1COCCO1", "C1CO1", "C1COC1", "C1OCCO1", "C1COCCN1", "c1cocn1", "c1cnoc1",
    "c1ccc2occc2c1",
    "c1ccc2c(c1)OCO2", "c1ccc2c(c1)CCO2",
    # with sulfur
    "c1ccsc1", "c1cscn1", "c1nncs1", "C1CCSC1", "C1CCSCC1", "C1CSCCS1", "c1ccc2sccc2c1", "c1ccc2scnc2c1", "C1CSCN1",
    "C1CSCCN1",
    # with a carbonyl in the ring
    "O=C1CCCC1", "O=C1CCCCC1", "O=C1CCCN1", "O=C1CCCCN1", "O=C1CCN1", "O=C1CCCO1", "O=C1CCC(=O)N1", "O=C1CNC(=O)N1",
    "O=C1CNC(=O)CN1", "O=c1cc[nH]c(=O)[nH]1", "O=c1cccc[nH]1", "O=c1ccocc1", "O=c1ccc2ccccc2o1", "O=C1C=CC(=O)C=C1",
    "O=C1OCCO1",
    "O=C1COCCN1", "O=C1NCCO1", "Nc1ccn(C)c(=O)n1", "Nc1ncnc2[nH]cnc12", "Nc1nc2[nH]cnc2c(=O)[nH]1",
    # sugars and alcohols
    "OC1CCCCO1", "OC1COCC1O", "OCC(O)CO", "OC1CCCCC1O",
)  # fmt: skip

GROUPS = {  # by the element they are there for; "" for the rest
    "": (
        "*C", "*CC", "*C(C)C", "*C(C)(C)C", "*C=C", "*C#C", "*O", "*OC", "*OCC", "*CO", "*CCO", "*N", "*NC",
        "*N(C)C", "*CN",
        "*CCN", "*CN(C)C", "*C=O", "*C(C)=O", "*C(=O)O", "*CC(=O)O", "*C(=O)OC", "*C(=O)OCC", "*OC(C)=O", "*C(N)=O",
        "*C(=O)NC",
        "*C(=O)N(C)C", "*NC(C)=O", "*NC=O", "*NC(N)=O", "*OC(N)=O", "*NC(=O)OC", "*C#N", "*CC#N", "*[N+](=O)[O-]",
        "*C=NO",
        "*NC(=N)N", "*C(=N)N", "*C(=O)NN", "*N=[N+]=[N-]", "*C1CC1", "*c1ccccc1", "*c1ccncc1", "*N1CCOCC1",
        "*N1CCCC1", "*C(=O)C=C",
        "*C(=O)NO", "*N=C=O", "*ON", "*NN",
    ),
    "F": ("*F", "*F", "*C(F)(F)F", "*OC(F)F", "*CF", "*C(F)F", "*OC(F)(F)F", "*c1ccc(F)cc1"),
    "Cl": ("*Cl", "*Cl", "*Cl", "*CCl", "*C(Cl)Cl", "*CCCl", "*C(=O)Cl", "*c1ccc(Cl)cc1", "*C(Cl)(Cl)Cl", "*C(Cl)=C"),
    "Br": ("*Br", "*Br", "*Br", "*CBr", "*CCBr", "*C(=O)CBr", "*c1ccc(Br)cc1", "*C(Br)=C"),
    "I": ("*I", "*I", "*I", "*CI", "*CCI", "*c1ccc(I)cc1", "*C(I)=C"),
    "S": (
        "*S", "*CS", "*CCS", "*SC", "*CSC", "*CCSC", "*S(C)=O", "*S(C)(=O)=O", "*S(N)(=O)=O", "*S(=O)(=O)NC",
        "*S(=O)(=O)N(C)C",
        "*NS(C)(=O)=O", "*S(=O)(=O)O", "*OS(=O)(=O)O", "*C(N)=S", "*NC(N)=S", "*C(=O)SC", "*SC(C)=O", "*N=C=S",
        "*SC#N", "*SSC",
        "*c1cccs1", "*S(=O)(=O)F", "*S(=O)(=O)Cl", "*S(=O)(=O)OC", "*CS(=O)(=O)O", "*C(C)=S",
    ),
    "P": (
        "*OP(=O)(O)O", "*OP(=O)(OC)OC", "*P(=O)(O)O", "*P(=O)(OC)OC", "*OP(=O)(O)OC", "*CP(=O)(O)O", "*P(C)C",
        "*P(C)(C)=O", "*P",
        "*CP(C)(C)=O", "*P(C)(=O)OC", "*P(=O)(N)OC", "*OP(=S)(OC)OC", "*P(C)(C)=S", "*COP(=O)(O)O", "*NP(=O)(OC)OC",
        "*P(OC)OC",
        "*P(=O)(Cl)OC", "*P(=O)(O)OC",
    ),
    "Si": (
        "*[Si](C)(C)C", "*[Si](C)(C)C", "*O[Si](C)(C)C", "*[SiH3]", "*[SiH](C)C", "*[Si](C)(C)O", "*[Si](OC)(OC)OC",
        "*C[Si](C)(C)C",
        "*[Si](C)(C)Cl", "*N[Si](C)(C)C", "*[Si](C)(C)OC", "*[SiH2]C", "*[Si](C)(C)F", "*[Si](C)(C)C=C", "*O[SiH3]",
        "*[Si](O)(O)C",
    ),
}  # fmt: skip

LINKERS = (  # between two cores
    "*C*", "*CC*", "*CCC*", "*O*", "*CO*", "*OC*", "*OCC*", "*N*", "*CN*", "*NC*", "*CN(C)C*", "*C(=O)*", "*C(=O)N*",
    "*NC(=O)*",
    "*C(=O)NC*", "*CNC(=O)*", "*C(=O)O*", "*OC(=O)*", "*C(=O)OC*", "*NC(=O)N*", "*OC(=O)N*", "*CC(=O)N*",
    "*C(=O)N(C)*", "*C=C*",
    "*C#C*", "*C=N*", "*N=N*", "*C(=O)C=C*", "*S*", "*CS*", "*S(=O)(=O)*", "*S(=O)(=O)N*", "*NS(=O)(=O)*", "*S(=O)*",
    "*SS*",
    "*C(=S)N*", "*NC(=S)N*", "*OP(=O)(O)O*", "*P(=O)(OC)*", "*[Si](C)(C)*", "*O[Si](C)(C)O*", "*C(O)*", "*C(F)(F)*",
    "*C(N)*", "**", "**",
)  # fmt: skip

RESIDUES = {  # what an amino acid has on its alpha carbon: "N" {side} "C(=O)"; proline is a ring
    "Gly": "NCC(=O)", "Ala": "NC(C)C(=O)", "Val": "NC(C(C)C)C(=O)", "Leu": "NC(CC(C)C)C(=O)",
    "Ile": "NC(C(C)CC)C(=O)",
    "Ser": "NC(CO)C(=O)", "Thr": "NC(C(C)O)C(=O)", "Cys": "NC(CS)C(=O)", "Met": "NC(CCSC)C(=O)",
    "Asp": "NC(CC(=O)O)C(=O)",
    "Glu": "NC(CCC(=O)O)C(=O)", "Asn": "NC(CC(N)=O)C(=O)", "Gln": "NC(CCC(N)=O)C(=O)", "Lys": "NC(CCCCN)C(=O)",
    "Arg": "NC(CCCNC(=N)N)C(=O)", "His": "NC(Cc9c[nH]cn9)C(=O)", "Phe": "NC(Cc9ccccc9)C(=O)",
    "Tyr": "NC(Cc9ccc(O)cc9)C(=O)",
    "Trp": "NC(Cc9c[nH]c8ccccc89)C(=O)", "Pro": "N9CCCC9C(=O)",
}  # fmt: skip
CAPS = (("", "O"), ("", "OC"), ("", "N"), ("", "NC"), ("CC(=O)", "O"), ("CC(=O)", "N"), ("CC(=O)", "NC"), ("O=C", "NC"))

SMALL = (  # neutral molecules that are no chain of carbon
    "O", "N", "S", "P", "[SiH4]", "O=C=O", "S=C=S", "O=C=S", "C#N", "N#CC#N", "FC(F)(F)F", "ClC(Cl)(Cl)Cl",
    "BrC(Br)(Br)Br", "CI", "CBr", "CCl", "CF", "ICI", "BrCBr", "ClCCl", "FCF", "C(Cl)(Cl)Cl", "C(Br)(Br)Br",
    "C(F)(F)F", "C(I)(I)I",
    "ClC=O", "FC=O", "O=C(Cl)Cl", "O=C(F)F", "NO", "NN", "OO", "CNN", "CON", "COO", "COOC", "SS", "CSSC", "CS",
    "CSC", "CS(C)=O",
    "CS(C)(=O)=O", "O=S=O", "CS(=O)(=O)O", "CS(N)(=O)=O", "NS(N)(=O)=O", "OS(=O)(=O)O", "FS(F)(=O)=O",
    "ClS(Cl)(=O)=O", "CS(=O)(=O)Cl",
    "CS(=O)(=O)F", "C=S", "CC(C)=S", "NC(N)=S", "NC=S", "CN=C=S", "CSC#N", "CP", "CPC", "CP(C)C", "CP(C)(C)=O",
    "OP(=O)(O)O", "COP(=O)(O)O",
    "COP(=O)(OC)OC", "CP(=O)(O)O", "O=P(Cl)(Cl)Cl", "FP(F)(F)=O", "PP", "OP(O)O", "COP(OC)OC", "CP(C)(C)=S",
    "ClP(Cl)Cl", "FP(F)F", "C[SiH3]",
    "C[SiH2]C", "C[SiH](C)C", "C[Si](C)(C)C", "C[Si](C)(C)O", "C[Si](C)(C)OC", "C[Si](C)(C)Cl", "C[Si](C)(C)F",
    "[SiH3]O[SiH3]",
    "C[Si](C)(C)O[Si](C)(C)C", "O[Si](O)(O)O", "CO[Si](OC)(OC)OC", "F[Si](F)(F)F", "Cl[Si](Cl)(Cl)Cl",
    "[SiH3][SiH3]", "C[Si](C)(C)[Si](C)(C)C",
    "[SiH3]N", "[SiH3]Cl", "[SiH3]F", "[SiH3]Br", "C[Si](Cl)(Cl)Cl", "C[Si](C)(Cl)Cl", "C[Si](C)(C)C#N",
    "C[Si](C)(C)Br", "[SiH3]O", "[SiH3]S",
    "C[N+](=O)[O-]", "O=[N+]([O-])O", "CO[N+](=O)[O-]", "NC(N)=O", "NC(N)=N", "NC#N", "N#CS", "CN=C=O",
    "CN=[N+]=[N-]", "NCl", "CC(Cl)=O",
    "CC(Br)=O", "N=C=O", "N=C=S", "C[N+]#[C-]", "CN=O", "CNO", "C=[N+]=[N-]",
)  # fmt: skip

IONS = (  # written by hand; the rest is made of neutral molecules by the rules of `molecules_wide.py`
    "[NH4+]", "C[NH3+]", "C[NH2+]C", "C[NH+](C)C", "C[N+](C)(C)C", "[OH3+]", "C[OH2+]", "[OH-]", "C[O-]", "CC[O-]",
    "[SH-]", "C[S-]", "CC[S-]",
    "[C-]#N", "N#C[S-]", "[O-]C=O", "CC([O-])=O", "O=C([O-])C(F)(F)F", "O=C([O-])O", "[O-][N+](=O)[O-]", "[O-]N=O",
    "O=S(=O)([O-])O",
    "O=S(=O)([O-])[O-]", "CS(=O)(=O)[O-]", "O=S(=O)([O-])C(F)(F)F", "O=P([O-])(O)O", "O=P([O-])([O-])O",
    "COP(=O)([O-])O", "COP(=O)([O-])OC",
    "CP(=O)([O-])O", "C[P+](C)(C)C", "[O-]Cl(=O)(=O)=O", "NC(N)=[NH2+]", "CNC(N)=[NH2+]", "NC=[NH2+]",
    "CC(N)=[NH2+]", "c1cc[nH+]cc1",
    "C[n+]1ccccc1", "c1c[nH+]c[nH]1", "Cn1cc[n+](C)c1", "CCn1cc[n+](C)c1", "[O-]c1ccccc1", "[S-]c1ccccc1",
    "C=[NH2+]", "C[NH+]=C(C)C",
    "C[S+](C)C", "[N-]=[N+]=[N-]", "CS(=O)(=O)[N-]S(C)(=O)=O", "C1CC[NH2+]CC1", "C[N+]1(C)CCCC1", "c1nn[n-]n1",
    "C[N+](C)(C)CCO",
    "C[N+](C)(C)CC([O-])=O", "[NH3+]CC([O-])=O", "[NH3+]CCS(=O)(=O)[O-]", "[NH3+]CCOP(=O)([O-])O",
    "[NH3+]CCCC([O-])=O", "C[NH+](C)CC([O-])=O",
    "C[N+](C)(C)CCOP(=O)([O-])OC", "[NH3+]CC[NH3+]", "O=C([O-])CCC(=O)[O-]", "CC[N+](CC)(CC)CC", "C[NH2+]CC([O-])=O",
    "[NH3+]CP(=O)([O-])O",
)  # fmt: skip
