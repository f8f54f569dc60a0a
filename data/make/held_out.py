"""Thirty drugs, peptides and ions that no recipe has seen: what the wide weights are tested on.

`molecules_wide.py` leaves them out of its list, in every form that differs by protons or by stereochemistry alone.
"""

HELD_OUT = {
    # neutral
    "paracetamol": "CC(=O)Nc1ccc(O)cc1",
    "ibuprofen": "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "caffeine": "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "lidocaine": "CCN(CC)CC(=O)Nc1c(C)cccc1C",
    "fluorouracil": "O=c1[nH]cc(F)c(=O)[nH]1",
    "diazepam": "CN1C(=O)CN=C(c2ccccc2)c2cc(Cl)ccc21",
    "sulfamethoxazole": "Cc1cc(NS(=O)(=O)c2ccc(N)cc2)no1",
    "hydrochlorothiazide": "NS(=O)(=O)c1cc2c(cc1Cl)NCNS2(=O)=O",
    "captopril": "CC(CS)C(=O)N1CCCC1C(=O)O",
    "benzylpenicillin": "CC1(C)SC2C(NC(=O)Cc3ccccc3)C(=O)N2C1C(=O)O",
    "cyclophosphamide": "ClCCN(CCCl)P1(=O)NCCCO1",
    "fosfomycin": "CC1OC1P(=O)(O)O",
    "malathion": "CCOC(=O)CC(SP(=S)(OC)OC)C(=O)OCC",
    "brompheniramine": "CN(C)CCC(c1ccc(Br)cc1)c1ccccn1",
    "bromhexine": "CN(Cc1cc(Br)cc(Br)c1N)C1CCCCC1",
    "idoxuridine": "OCC1OC(CC1O)n1cc(I)c(=O)[nH]c1=O",
    "flusilazole": "C[Si](Cn1cncn1)(c1ccc(F)cc1)c1ccc(F)cc1",
    # charged
    "dopaminium": "[NH3+]CCc1ccc(O)c(O)c1",
    "acetylcholine": "CC(=O)OCC[N+](C)(C)C",
    "metforminium": "CN(C)C(=[NH2+])NC(N)=N",
    "fluoxetinium": "C[NH2+]CCC(Oc1ccc(cc1)C(F)(F)F)c1ccccc1",
    "salicylate": "O=C([O-])c1ccccc1O",
    "diclofenac anion": "O=C([O-])Cc1ccccc1Nc1c(Cl)cccc1Cl",
    # peptides
    "alanine dipeptide": "CC(=O)NC(C)C(=O)NC",
    "aspartame": "COC(=O)C(Cc1ccccc1)NC(=O)C(N)CC(=O)O",
    "carnosine": "NCCC(=O)NC(Cc1cnc[nH]1)C(=O)O",
    "methionyl-serine": "NC(CCSC)C(=O)NC(CO)C(=O)O",
    "glutathione": "NC(CCC(=O)NC(CS)C(=O)NCC(=O)O)C(=O)O",
    "glycyl-lysinium": "NCC(=O)NC(CCCC[NH3+])C(=O)O",
}
