"""Words that keep a turn out of the training text: profanity, slurs, and matter unfit for a demo.

The list is stored turned by thirteen letters (rot13), so that nobody reads it by accident; `blocked_pattern`
turns it back. A star stands for any further letters. It errs on the side of dropping: a demo of five million
parameters has nothing sensible to say about sex, drugs, parties or who people are. It does NOT
judge meaning, only words.
"""

import codecs
import re

_ROT13 = """
*shpx *fuvg nobegvba* ns nany nahf nefr nefrubyr nff nffrf nffubyr* nhgvfgvp onqnff onfgneq*
oqfz ornare* ovngpu ovgpu* oybbql oybjwbo* obyybpx* obbo* ohttre* ohyyfu* ohggubyr* puvax puvaxf
pyvagba pbpnvar pbpx pbpxf pbpxfhpx* pbaqbz* pbba pbbaf penpxurnq* penc penccl pevccyr* phz
phzzvat phag* qnza* qnat qnatvg qrzbpeng* qvpx qvpxurnq* qvpxf qvyqb* qbhpur* qhzonff qlxr qlxrf
rssvat rerpgvba* snt snttbg* sntf sneg snegrq snegvat snegf srgvfu* sernxvat* sevpx* sevpxra
sevtt* sevttva* shpx* tnl tnlf travgny* travgnyvn trabpvqr* tbqqnz* tbbx tbbxf tlcfl* unaqwbo*
uryy uragnv urebva uvyynel uvgyre* ub ubr ubrf ubybpnhfg* ubzb ubzbf ubzbfrkhny* ubbxre* ubbxhc
ubbgref ubeal vaprfg* vfvf wnpxnff wvunq* wvmm xvxr xvxrf xvaxl xxx xzf xlf yrfovna* yznb yzsnb
ylapu ylapuvat znevwhnan znfgheong* zrgu zvqtrg* zvys zvys* zbyrfg* zbgures* anxrq anmv* arteb*
avtt* avccyr* ahqr ahqrf bonzn bzst betnfz* cnrqb* cnxv cnxvf crqb* crr crrvat cravf* cvff*
cbbc* cbea* cevpx cevpxf cebfgvghg* cflpub chffvrf chffl enturnq* encr encrq encrf encvat
encvfg* erqfxva erqfxvaf erchoyvpna* ergneq* frzra frk frkrf frkhny* frkl fuvg* fxnax* fyhg*
fyhggl fcrez fcvp fcvpf fgsh fgevccre* fgevccref fhpx fhpxrq fhpxf fhvpvq* greebevf* grfgvpy*
gubg gubgf gvgf gvggvrf gvggl gbjryurnq* genaavrf genaal genaftraqre* gehzc gehzcf gheq* gjng*
intvan* ibzvg* jnax* jrrq jrgonpx* juber* jgs
"""


_WORDS = tuple(codecs.decode(_ROT13, "rot13").split())


def blocked_pattern() -> re.Pattern[str]:
    """One expression that finds any listed word in lower-case text.

    >>> bool(blocked_pattern().search("hello there")), bool(blocked_pattern().search("what the h" + "ell"))
    (False, True)
    """
    inner = "|".join(re.escape(word).replace(r"\*", r"\w*") for word in _WORDS)
    return re.compile(rf"\b(?:{inner})\b")
