"""Codes of languages, and which of them mean the same: ISO 639-1 and 639-3, with region tags. Pure.

The service takes and tells either ("en", "eng"), users write "en-US", and for some languages there
are codes more: the bibliographic ones of ISO 639-2 ("ger") and those of the one language that is
meant by a group's ("cmn" by "zh", "nb" by "no").
"""

from __future__ import annotations

from collections.abc import Iterable

_OF_TWO_LETTERS = """
aa:aar ab:abk ae:ave af:afr ak:aka am:amh an:arg ar:ara as:asm av:ava ay:aym az:aze ba:bak be:bel
bg:bul bi:bis bm:bam bn:ben bo:bod br:bre bs:bos ca:cat ce:che ch:cha co:cos cr:cre cs:ces cu:chu
cv:chv cy:cym da:dan de:deu dv:div dz:dzo ee:ewe el:ell en:eng eo:epo es:spa et:est eu:eus fa:fas
ff:ful fi:fin fj:fij fo:fao fr:fra fy:fry ga:gle gd:gla gl:glg gn:grn gu:guj gv:glv ha:hau he:heb
hi:hin ho:hmo hr:hrv ht:hat hu:hun hy:hye hz:her ia:ina id:ind ie:ile ig:ibo ii:iii ik:ipk io:ido
is:isl it:ita iu:iku ja:jpn jv:jav ka:kat kg:kon ki:kik kj:kua kk:kaz kl:kal km:khm kn:kan ko:kor
kr:kau ks:kas ku:kur kv:kom kw:cor ky:kir la:lat lb:ltz lg:lug li:lim ln:lin lo:lao lt:lit lu:lub
lv:lav mg:mlg mh:mah mi:mri mk:mkd ml:mal mn:mon mr:mar ms:msa mt:mlt my:mya na:nau nd:nde ne:nep
ng:ndo nl:nld no:nor nr:nbl nv:nav ny:nya oc:oci oj:oji om:orm or:ori os:oss pa:pan pi:pli pl:pol
ps:pus pt:por qu:que rm:roh rn:run ro:ron ru:rus rw:kin sa:san sc:srd sd:snd se:sme sg:sag sh:hbs
si:sin sk:slk sl:slv sm:smo sn:sna so:som sq:sqi sr:srp ss:ssw st:sot su:sun sv:swe sw:swa ta:tam
te:tel tg:tgk th:tha ti:tir tk:tuk tl:tgl tn:tsn to:ton tr:tur ts:tso tt:tat tw:twi ty:tah ug:uig
uk:ukr ur:urd uz:uzb ve:ven vi:vie vo:vol wa:wln wo:wol xh:xho yi:yid yo:yor za:zha zh:zho zu:zul
"""
_LIKEWISE = """
bo:tib cs:cze cy:wel de:ger el:gre eu:baq fa:per fr:fre hy:arm is:ice ka:geo mi:mao mk:mac ms:may
my:bur nl:dut ro:rum sk:slo sq:alb zh:chi
ar:arb az:azj et:ekk fa:pes lv:lvs mn:khk ms:zsm ne:npi no:nb no:nob no:nn no:nno or:ory ps:pbt
sq:als sw:swh tl:fil uz:uzn yi:ydd zh:cmn
he:iw id:in yi:ji ro:mo ro:mol
"""
_SHORT = {pair[3:]: pair[:2] for pair in (_OF_TWO_LETTERS + _LIKEWISE).split()}


def canonical(code: str) -> str:
    """The form in which all codes of one language are equal: "en" for "eng", "EN" and "en-US"."""
    plain = code.strip().replace("_", "-").partition("-")[0].lower()
    return _SHORT.get(plain, plain)


def is_among(code: str, languages: Iterable[str]) -> bool:
    """Whether `code` means one of `languages`, in whatever form either is written."""
    return canonical(code) in map(canonical, languages)
