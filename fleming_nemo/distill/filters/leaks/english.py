"""Leak cues of English, over folded text in which the names of the item are blanked."""

import re

from fleming_nemo.distill.filters.leaks.english_roles import (
    ANSWER,
    ANSWERER,
    BARE,
    EARLY,
    GIVEN,
    IS_RIGHT,
    LETTER,
    SOURCE,
    TELLS,
    TOLD,
    WANTS,
    WORDS,
)

CUES = [
    re.compile(pattern)
    for pattern in (
        # the given answer
        rf"\b{GIVEN}\W+{ANSWER}",
        # the answer (B) that was provided to us; the answer given
        (
            rf"\b{ANSWER}\W+(?:{LETTER}\W+)?(?:(?:that|which|as|we|i|we['’]ve|i['’]ve|we['’]re|it['’]s|was|were|"
            rf"is|has|have|had|been|being|already|just|are|you|they|here|us|me)\s+){{1,6}}(?:\w+ly\s+)?{TOLD}\b"
        ),
        (
            r"\b(?:answer|(?:correct|right) (?:option|choice|letter))\s+(?:given|provided|supplied|stated|"
            r"specified|disclosed|revealed|handed|furnished|shared|supplied)\b"
        ),
        (
            r"\banswer[- ](?:key|sheet)\b|\bground[- ]truth\b|\bgold(?:en)?[- ](?:label|answer|standard answer)\b|"
            r"\bmarking scheme\b|\bsolution manual\b"
        ),
        # somebody told it
        (
            r"\b(?:told|informed|given to understand|tipped off|made aware|instructed|notified|advised|"
            rf"assured)\b{WORDS % 8}(?:{ANSWER}|{LETTER}\s+{IS_RIGHT})"
        ),
        (
            rf"\b{SOURCE}\b(?:\W+(?:itself|already|clearly|explicitly|has|have|also|us|above|here|that|of|for|"
            rf"this|which)){{0,4}}\W+{TELLS}\b{WORDS % 8}(?:{ANSWER}|{LETTER}\s+{IS_RIGHT})"
        ),
        (
            r"\b(?:according to|as per|per|following|based on|going by|by)\s+(?:the\s+|this\s+|our\s+|"
            r"its\s+)?(?:\w+\s+)?(?:answer|solution|key|label)\b(?!\s+(?:options|choices))"
        ),
        (
            r"\b(?:consistent with|match(?:es|ing|ed)?|in line with|agree\w* with|in accordance with|"
            r"in agreement with|aligns? with|corresponds? to|square\w* with)\s+(?:the|this|our|"
            r"its)\s+(?:\w+\s+)?(?:answer|solution|label|correct (?:option|choice|letter))\b"
        ),
        (
            rf"\b{ANSWERER}\b(?:\W+[\w'’]+){{0,2}}?\W+(?:{TELLS}|{WANTS})\W+(?:(?:us|me|that|the|option|choice|"
            r"answer|letter|is|as|for|it|to|be|we|should|must|select|choose|pick|go|with|"
            rf"conclude)\W+){{0,6}}{BARE}"
        ),
        (
            rf"\b{SOURCE}\b(?:\W+[\w'’]+){{0,2}}?\W+{WANTS}\W+(?:(?:us|me|the|option|choice|answer|letter|to|be|"
            rf"pick|reach|say|choose)\W+){{0,5}}(?:{BARE}|{ANSWER})"
        ),
        (
            r"\bas\W+(?:[\w'’]+ly\W+|has been\W+|was\W+|is\W+|we were\W+|i was\W+|"
            rf"had been\W+)?{TOLD}\b(?:\W+(?:in|by|above|below|at|here|the|this|our|from|to|us|beforehand|"
            rf"[\w'’]+)){{0,4}}?,?\W+(?:the\W+)?{ANSWER}\W+(?:is|should|must|has|was|will|=)"
        ),
        (
            rf"\b{LETTER}\W+(?:is|was|being)\W+(?:the one|what|which|the letter|the option|"
            rf"the answer)\b{WORDS % 5}{TOLD}\b"
        ),
        (
            r"\bit\W+(?:says|states|reads|was said|is said|is written|is stated|is given|is noted|is mentioned|"
            rf"was stated|was given)\b{WORDS % 6}(?:{ANSWER}|{LETTER}\s+{IS_RIGHT})"
        ),
        (
            rf"\b{ANSWER}\W+(?:is|was|being)\W+(?:{LETTER}|x1)\W+(?:which|as|this|that|and this|and that|"
            rf"and it)\W+(?:[\w'’]+\W+){{0,3}}?{TOLD}\b"
        ),
        rf"\bit['’]?s?\W+(?:(?:is|was|has been|been)\W+)*(?:stated|said|written|given|noted|mentioned|indicated)\b"
        rf"{WORDS % 6}(?:{ANSWER}|{LETTER}\s+{IS_RIGHT})",
        rf"\b{ANSWER}\W+(?:\(?(?:{LETTER}|x1)\)?\W+)?(?:was|is|were|comes?|came|stands?)\W+(?:in|on|from|part of)\W+"
        r"(?:the|my|our|this)\W+(?:instructions?|prompt|question|task|input|user|message|request)\b",
        r"\b(?:as per|per|following|by|under)\W+(?:the\W+|my\W+|your\W+)?(?:instructions?|prompt|task|request|"
        rf"brief)\b[^.;]{{0,40}}"
        rf"(?:{ANSWER}|\b{LETTER}\W*$)",
        (
            r"\b(?:supposed|requested|required|asked|instructed|meant|told)\W+to\W+(?:reach|arrive|get|end|"
            r"conclude|land|answer|pick|select|choose)\b"
        ),
        (
            r"\b(?:end|finish|conclude|close)\w*\W+(?:with|on|at|in)\W+(?:[\w'’]+\W+){1,3}?as\W+(?:requested|"
            r"required|asked|instructed|agreed)\b"
        ),
        (
            r"\b(?:label|answer field|target)\b(?:\W+[\w'’]+){0,5}?\W+(?:is|says|reads|"
            r":)\W+(?:\(?[b-z]\)?(?![\w'’])|a(?=\W*$)|x1)"
        ),
        # known in advance
        (
            rf"\b{EARLY}\b[^.;]{{0,60}}?\b(?:answer|correct|right (?:option|choice|answer|one|letter)|solution|"
            r"outcome|which (?:option|letter))\b"
        ),
        (
            r"\b(?:answer|correct|right (?:option|choice|one|letter)|solution|which (?:option|"
            rf"letter))\b[^.;]{{0,50}}?\b{EARLY}\b"
        ),
        (
            r"\b(?:we|i|one|you)(?:['’](?:ve|re|m))?\W+(?:(?:have|had|are|am|was|were|already|all|do|been|"
            rf"of course)\W+){{0,3}}(?:know|knew|knowing|given|told|seen|learn\w*|have|"
            rf"had)\W+(?:[\w'’]+\W+){{0,5}}?{ANSWER}(?! (?:if|when|once|after|by))"
        ),
        (
            r"\b(?:know(?:ing|n)|having (?:seen|been given|been told|been shown|been handed|learn\w+|received|got|"
            rf"heard|looked up|access to)|seeing|armed with|equipped with)\b{WORDS % 4}(?:{ANSWER}|"
            rf"{LETTER}\s+{IS_RIGHT})"
        ),
        # marked as correct
        (
            r"\b(?:marked|flagged|designated|label+ed|listed|keyed|specified|declared|set|fixed|indicated|"
            r"identified|named|given|recorded|stated|tagged|annotated|supplied|provided|highlighted|ticked|noted|"
            r"confirmed|known|established|announced|circled|chosen for us|handed)\W+(?:[\w'’]+\s+){0,3}?(?:as|"
            r"to be|with|for|in)\s+(?:(?:the|being|our|its|this|task|question)\s+)*(?:correct|right|answer|"
            r"solution|true)\b"
        ),
        # a premise
        (
            r"\b(?:since|because|given|knowing|considering|seeing|now that|granted|as|assuming|"
            r"with)\W+(?:that\W+)?(?:(?:the|this|our|we|it|"
            rf"know)\W+){{0,2}}{ANSWER}\W+(?:\(?{LETTER}\)?\W+)?(?:is|must be|has to be|should be|was|being|"
            r"turns out|needs)\b"
        ),
        (
            r"\b(?:since|because|given that|knowing that|considering that|seeing that|now that|granted that|"
            r"as)\W+(?:option|choice|answer|letter)?\s*\(?[a-z]\)?\s+(?:is|was|has been|must be|"
            r"being)\s+(?:[\w'’]+\s+){0,2}?(?:correct|right|answer|solution|true one|expected)\b"
        ),
        (
            r"\b(?:in (?:view|light) of|in the light of|on the basis of|because of|owing to|due to|thanks to|"
            rf"in the knowledge of|starting from|with)\W+(?:the\W+|this\W+|our\W+)?{ANSWER}"
        ),
        (
            rf"\bwith\W+(?:(?:option|choice|letter|answer)\W+)?(?:\(?[b-z]\)?|x1)\W+(?:[\w'’]+\W+){{0,2}}?(?:as|"
            rf"being)\W+(?:the\W+)?{ANSWER}"
        ),
        rf"\bknow\b(?:\W+that)?\W+(?:the\W+)?{ANSWER}\W+(?:is|was)\b",
        # the task of justifying it
        (
            r"\b(?:justif(?:y|ies|ying|ied)|rationali[sz](?:e|ing)|defend(?:ing)?|argu(?:e|ing) for|vindicat(?:e|"
            rf"ing)|back(?:ing)? up)\b{WORDS % 3}(?:answer|letter|option|choice|solution|conclusion|selection|why|"
            rf"{LETTER}\b(?=[\s.,]))"
        ),
        (
            r"\b(?:explain|show|demonstrate|clarify|see|say|spell out|account for|lay out)(?:s|ed|"
            rf"ing)?\b{WORDS % 3}(?:why|how|that)\W+(?:the\W+)?(?:(?:option|choice|answer|"
            r"letter)\W+)?\(?[a-z]\)?\W+(?:is|must be|has to be|was)\b"
        ),
        (
            rf"\b(?:explain|show|demonstrate|clarify)(?:s|ed|ing)?\b{WORDS % 3}(?:why|how)\W+(?:this|that|it|"
            rf"the)\W+(?:[\w'’]+\W+){{0,2}}?(?:correct|right|answer|solution)\b"
        ),
        (
            r"\b(?:work|reason|reconstruct|argu|go|trac|deriv|start|proceed|build|"
            r"think)\w*\W+(?:[\w'’]+\W+){0,2}?(?:backwards?|in reverse|back|from)\W+(?:from\W+)?(?:the\W+|this\W+|"
            r"that\W+|our\W+)?(?:[\w'’]+\W+)?(?:answer|solution|conclusion|label|key|letter|correct option)\b"
        ),
        (
            r"\b(?:make|making|made|build\w*|find\w*|construct\w*|give|giving|provide|write|produce|assemble|"
            rf"supply|come up with|present|develop|craft|invent|collect)\W+(?:[\w'’]+\W+){{0,3}}?(?:case|argument|"
            r"arguments|reasons?|justification|rationale|explanation|grounds|story|reasoning|path|route)\W+(?:for|"
            r"why|of|in favou?r of|behind|towards?|leading to|that (?:leads?|ends?|supports?)(?: to| at| in|"
            r" with)?)\W+(?:(?:the|option|choice|answer|letter|picking|choosing|selecting|it|"
            rf"this)\W+){{0,3}}(?:{BARE}|{ANSWER}|answer)"
        ),
        (
            r"\b(?:arriv|reach|lead|land|end up|get|converg|point|head|steer)\w*\W+(?:[\w'’]+\W+){0,3}?(?:that|"
            r"this|same|said)\W+(?:answer|letter|solution|option)\b"
        ),
        (
            r"\b(?:told|given|handed|shown|fed|supplied with|provided with|furnished with|armed with)\W+(?:(?:the|"
            r"this|that|an|its|our|us|me|both|of)\W+){1,2}(?:(?:correct|right|final)\W+)?(?:answer|solution|"
            r"letter|correct (?:option|choice))\b(?! (?:options|choices))"
        ),
        r"\bspoiler\b|\bpeek(?:ed|ing)? at\b|\bleaked\b|\bcheat sheet\b",
    )
]
