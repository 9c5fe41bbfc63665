"""Cue words of statements about findings, relations and frequencies, in English and Chinese, over folded text."""

import re

RELATES = re.compile(
    r"\b(?:fit|fits|fitted|fitting|match|matches|matching|matched|explain|explains|explained|explaining|"
    r"account|accounts|accounted|"
    r"consistent|caus\w+|responsible|underl\w+|associat\w+|link\w*|inherit\w*|transmi\w+|interact\w*|"
    r"mechanism|acts?|acting|guideline|point|points|"
    r"lead|leads|result\w*|defect\w*|exert\w*|work\w*|function\w*|serve[sd]?|behav\w+|bind\w*|target\w*|"
    r"dos\w+|found|seen|occur\w*|follow\w*|indicat\w+|diagnos\w+|cover\w*|agree|agrees|has|have|shows?|"
    r"showing|record\w*|list\w*|correct|answer|complete|satisf\w+|is|are|present\w*|includ\w+|features?|"
    r"exhibits?|displays?|compatible|belongs?|due|via|through|by)\b"
    r"|符合|吻合|解释|导致|引起|致病|相关|遗传|相互作用|机制|涉及|指向|提示|诊断|一致|记录|见于|属于|为|是|有|"
    r"满足|具备|匹配|对应|成立|存在|包含|支持|具有|表现|呈现|列|指南|用药|作用|发生"
)
WHOLE = re.compile(
    r"\b(?:all|every\w*|each|whole|entire\w*|full\w*|complete\w*|best|perfect\w*|without exception|fits?|"
    r"matches|explains|correct|answer|accounts?)\b"
    r"|全部|所有|均|都|完全|最符合|每一|逐一|各项|吻合|正确|完整|一致|符合|最佳|完美"
)
EVERY = re.compile(
    r"\b(?:all|every\w*|each|whole|entire\w*|best|perfect\w*|complete\w*)\b|全部|所有|完全|每一|最符合|完美"
)
PARTIAL = re.compile(
    r"\b(?:some|part\w*|only|merely|at best|at most|few\w*|less|(?<!every )(?<!each )one of|two of|three of|"
    r"\d+ of|rest|others|other options|remaining|closest|nearest)\b"
    r"|部分|仅|虽|只有|最接近|个别|少数|其余|其他|若|更少"
)
CONTRAST = re.compile(
    r"\b(?:unlike|compar\w+|versus|vs|instead|rather|distinguish\w*|separat\w*|differ\w*|differential|"
    r"away from|against|between|other than|options?|candidates?|choices|among|"
    r"alternatives?|first|tempting|superficial\w*|resembl\w+|similar\w*|seem\w*|look\w*|overlap\w*)\b"
    r"|不同|区别|相比|比较|鉴别|候选|选项(?!中)|之间|相似|类似|看似|首先|先考虑|反对"
)
PATIENT = re.compile(
    r"\b(?:patient|he|she|examination|history|presents?|picture|case|here|this)\b|患者|病人|病例|本例|检查|此处|病史"
)
PRONOUN = re.compile(r"\b(?:it|its|that|they|these|latter|former)\b|其|它|该病|后者|前者|此病")
OFTEN = re.compile(
    r"\b(?:at least (?:8\d|9\d)|most|nearly all|frequent\w*|common\w*|usual\w*|typical\w*|majority)\b|"
    r"至少[89]\d|多数|常见|大部分|高频"
)
SELDOM = re.compile(
    r"\b(?:fewer than|less than|under|below|rare\w*|seldom|uncommon\w*|minority|infrequent\w*)\b|不足|少于|"
    r"低于|罕见|少见|少数|偶见"
)
_SYMBOL = r"([A-Z][A-Z0-9]{1,9}(?:-[A-Z0-9]+)*)(?![A-Za-z0-9])"
GENE = re.compile(
    r"(?:\bgenes?\b|\bvariants? (?:in|of)|\bmutations? (?:in|of)|\bcaused by|基因(?:为|是)?|由|变异|"
    rf"突变)\W{{0,12}}?{_SYMBOL}"
    rf"|\bgenes?\b(?:\W+\w+){{0,6}}?\W+(?:is|are|was|being|named|called)\W+{_SYMBOL}"
    rf"|(?<![A-Za-z0-9]){_SYMBOL}\W{{0,2}}(?:gene\b|variants?\b|mutations?\b|(?:的)?(?:致病)?基因|(?:的)?(?:变异|突变))"
    rf"|(?<![A-Za-z0-9]){_SYMBOL}\W+(?:is|as|being)\W+(?:the|a|its)\W+(?:\w+\W+){{0,3}}?genes?\b"
    rf"|(?<![A-Za-z0-9]){_SYMBOL}\W+(?:causes?\b|underlies\b|导致|引起|是)"
)
NO_GENES = ("DNA", "RNA", "OMIM", "HPO", "HGNC", "CPIC", "MRI", "CT", "EEG", "ECG")
NEGATION = re.compile(r"\bnot\b|\bno\b|n't\b|\bnor\b|\bneither\b|\bnone\b|不|没有|未|非|无")
