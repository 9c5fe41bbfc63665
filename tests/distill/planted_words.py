"""What spoilt rationales say, in English and Chinese. Written without a look at the filters' cues."""

LEAKS = {
    "en": [
        "Since I was told that {X} is right, I only need to find reasons for it.",
        "The solution sheet lists {X}, so the reasoning should end there.",
        "As the prompt has it, the correct choice is {X}.",
        "We already know where this goes: option {X} is the one we have been given.",
        "Working back from the stated answer, {text} must be the link.",
        "My job is to make a case for {X}.",
        "The answer provided by the user is {X}, and that settles it.",
        "Because the key says {text}, the other options can be ignored.",
        "Looking at the supplied label, I see that it is {X}.",
        "The official answer happens to be {text}.",
        "Given that the right answer is {X}, we look for supporting facts.",
        "The question setter wants {X}, so let us justify that.",
        "It was disclosed in advance that {X} is correct.",
        "I have been informed that the correct option is {X}.",
        "The reference solution names {text}.",
        "Now explain why {X} is correct.",
        "To be consistent with the answer we were handed, the disease has to match {text}.",
        "Knowing the outcome beforehand, which is {X}, makes this easy: the correct answer was never in doubt.",
        "According to the answer shown above, {X} is what we need to reach.",
        "The instructions mention that {X} is the intended answer.",
        "The gold label here is {X}.",
        "I must arrive at {X}, because that is the expected answer.",
        "The task description reveals the right option, {X}.",
        "Let me rationalise the choice of {X}.",
        "As indicated in the input, the answer should be {X}.",
        "This agrees with the marked answer.",
        "The examiners have designated {X} as the right one.",
        "We were given {X} as the answer, so the argument has to lead there.",
        "The correct option, as has been specified, is {X}.",
        "Having seen the correct answer, I would argue as follows.",
    ],
    "zh": [
        "既然已经告诉我们选{X}，只需找出理由即可。",
        "题目给出的正确答案是{X}，因此围绕它来说明。",
        "由于标准答案为{X}，其他选项不必考虑。",
        "已知正确选项是{X}，下面解释原因。",
        "参考答案写的是{text}。",
        "根据提供的答案，应当推导出{X}。",
        "提示中已经说明{X}是对的。",
        "从答案倒推，关键在于{text}。",
        "我被要求论证为什么选{X}。",
        "出题人设定的答案就是{X}。",
        "事先知道答案是{X}，所以推理并不难。",
        "用户给的答案是{text}，我们照此推理。",
        "这与所给答案一致。",
        "因为答案已经确定为{X}，只要补上依据。",
        "系统标注的正确选项为{X}。",
        "按照题目附带的答案，选{X}。",
        "答案早已公布，是{X}。",
        "为了得到指定的答案{X}，需要这样推理。",
        "鉴于正确答案是{text}，其余均可排除。",
        "任务说明里写明答案为{X}。",
        "现在来证明{X}为什么正确。",
        "官方给出的解答是{X}。",
        "我们手上已有正确答案，即{X}。",
        "对照答案可知应为{X}。",
    ],
}

LETTER_FIRST = {
    "en": [
        "The answer is {X}.",
        "{X} is correct, as will be seen.",
        "Option {X} is the right one here.",
        "I choose {X}.",
        "{X}) {text} is the correct answer, for the following reasons.",
        "The correct answer is {text}.",
        "Clearly, the best choice is {X}.",
    ],
    "zh": [
        "答案是{X}。",
        "选{X}。",
        "本题应选{X}，理由如下。",
        "{X}选项正确。",
        "正确答案是{text}。",
        "显然{X}是正确的。",
    ],
}

ENDS = {
    "en": ["So it is {X}.", "The answer is {X}) {text}.", "Hence {X}.", "I would go for {X}, {text}."],
    "zh": ["所以选{X}。", "答案是{X}）{text}。", "故选{X}。", "因此我认为是{text}。"],
}

EMPTY_TALK = {
    "en": [
        "This is a classic question that requires careful thought.",
        "After weighing everything, one option stands out clearly.",
        "The clinical picture is highly suggestive.",
        "Medical knowledge allows us to narrow the list down quickly.",
        "Several options look plausible at first sight.",
        "A systematic approach leads to a clear result.",
        "Experience shows that such cases are usually straightforward.",
        "The remaining possibilities are less convincing.",
    ],
    "zh": [
        "这是一道需要仔细思考的经典题目。",
        "综合权衡之后，有一个选项明显更好。",
        "临床表现具有很强的提示意义。",
        "凭借医学知识可以很快缩小范围。",
        "乍一看有几个选项都说得通。",
        "系统的分析可以得到清楚的结果。",
        "经验表明这类病例通常并不复杂。",
        "剩下的可能性说服力较弱。",
    ],
}

FILLERS = {
    "en": [
        "Wait, let me check this once more.",
        "Let us go over the options again to be sure.",
        "Hmm, I should think about that a little longer.",
    ],
    "zh": ["等一下，让我再检查一遍。", "我们再来核对一次各个选项。", "嗯，这里还需要多想一想。"],
}

THIRD = {
    "fr": [
        "La question porte sur {start} et il faut comparer les options avec les données du dossier.",
        "Les signes décrits sont compatibles avec ce que l'on trouve dans la littérature pour {start}.",
        "On peut donc écarter les autres propositions, car elles ne sont pas en accord avec le tableau.",
        "Il reste une seule possibilité qui explique tous les éléments, c'est {answer}.",
        "Dans ce cas, le mécanisme est bien connu et les preuves sont suffisantes pour conclure.",
    ],
    "de": [
        "Die Frage geht von {start} aus, und wir vergleichen die Antworten mit dem, was bekannt ist.",
        "Die Befunde passen zu dem, was in der Literatur für {start} beschrieben wird.",
        "Damit scheiden die anderen Möglichkeiten aus, denn sie erklären das Bild nicht.",
        "Es bleibt nur eine Antwort, die mit allen Angaben vereinbar ist, nämlich {answer}.",
        "In diesem Fall ist der Zusammenhang gut belegt und die Entscheidung nicht schwer.",
    ],
    "es": [
        "La pregunta parte de {start} y hay que comparar las opciones con los datos de la historia.",
        "Los hallazgos son compatibles con lo que se describe en la literatura para {start}.",
        "Por eso se pueden descartar las otras opciones, que no explican el cuadro.",
        "Queda una sola posibilidad que explica todos los elementos, que es {answer}.",
        "En este caso el mecanismo es bien conocido y las pruebas son suficientes.",
    ],
    "ru": [
        "Вопрос касается {start}, и нужно сравнить варианты с описанием случая.",
        "Признаки соответствуют тому, что описано в литературе.",
        "Остальные варианты можно исключить, так как они не объясняют картину.",
        "Остаётся единственная возможность, это {answer}.",
        "В этом случае механизм хорошо известен, и доказательств достаточно.",
    ],
}

FITS = {
    "en": [
        "{rival} accounts for every one of these features.",
        "All of this fits {rival} perfectly.",
        "{rival} explains the whole presentation.",
        "The entire picture is typical of {rival}.",
        "Everything described here matches {rival}.",
    ],
    "zh": [
        "{rival}可以解释全部表现。",
        "所有表现都与{rival}完全吻合。",
        "{rival}完全符合上述情况。",
        "上述各项均支持{rival}。",
    ],
}

HAS = {
    "en": [
        "{rival} is well known to present with {finding}.",
        "Patients with {rival} regularly show {finding}.",
        "{finding} is a hallmark of {rival}.",
        "In {rival}, {finding} is a documented feature.",
    ],
    "zh": ["{rival}患者常有{finding}。", "{finding}是{rival}的典型表现。", "{rival}的记录中包括{finding}。"],
}

LEADS = {
    "en": [
        "The disease behind {rival} is recorded with {finding}.",
        "{rival} leads to a condition that features {finding}.",
        "{finding} is well documented for the disorder that {rival} stands for.",
    ],
    "zh": ["{rival}所对应的疾病有{finding}的记录。", "{finding}见于{rival}相关的疾病。"],
}

LACKS = {
    "en": [
        "The patient does not have {finding}.",
        "Notably, {finding} is absent in this patient.",
        "There is no {finding} in this patient.",
        "{finding} was not found on examination.",
        "The patient shows no sign of {finding}.",
    ],
    "zh": [
        "患者没有{finding}。",
        "检查未发现{finding}。",
        "患者并无{finding}。",
        "值得注意的是，患者不存在{finding}。",
    ],
}

GENES = {
    "en": [
        "{disease} is caused by mutations in {gene}.",
        "The gene responsible for {disease} is {gene}.",
        "{gene} is the gene behind {disease}.",
        "{disease} results from variants in the gene {gene}.",
    ],
    "zh": ["{disease}由{gene}基因突变引起。", "{disease}的致病基因是{gene}。", "{gene}基因的变异导致{disease}。"],
}

MODES = {
    "en": {
        "autosomal recessive": ["autosomal recessive", "常染色体隐性"],
        "autosomal dominant": ["autosomal dominant", "常染色体显性"],
        "mitochondrial inheritance": ["mitochondrial", "线粒体"],
        "Y-linked": ["y-linked", "y连锁"],
    },
    "zh": {
        "常染色体隐性遗传": ["autosomal recessive", "常染色体隐性"],
        "常染色体显性遗传": ["autosomal dominant", "常染色体显性"],
        "线粒体遗传": ["mitochondrial", "线粒体"],
        "Y连锁遗传": ["y-linked", "y连锁"],
    },
}

INHERITED = {
    "en": [
        "{disease} is passed on in a pattern that is {mode}.",
        "The inheritance of {disease} is {mode}.",
        "{disease} follows the {mode} pattern.",
        "It is well established that {disease} is {mode}.",
    ],
    "zh": ["{disease}属于{mode}。", "{disease}的遗传方式是{mode}。", "众所周知，{disease}为{mode}。"],
}

RELATED = {
    "en": {
        "disease-gene": ["Variants in {rival} cause {start}.", "{rival} is the gene responsible for {start}."],
        "disease-gene-drug": ["For {rival} there is a guideline on the gene of {start}."],
        "gene-drug": ["The guideline on {start} covers {rival}.", "{rival} is dosed according to {start}."],
        "drug-mechanism": ["{start} works as {rival}.", "The mechanism of {start} is {rival}."],
        "drug-mechanism-drug": [
            "{rival} has the same mechanism as {start}.",
            "{rival} and {start} act in the same way.",
        ],
        "drug-interaction": ["{start} interacts with {rival}.", "{rival} has a recorded interaction with {start}."],
        "variant-disease": ["{start} causes {rival}.", "The variant {start} is found in {rival}."],
    },
    "zh": {
        "disease-gene": ["{rival}的变异导致{start}。", "{start}的致病基因是{rival}。"],
        "disease-gene-drug": ["{rival}有针对{start}致病基因的指南。"],
        "gene-drug": ["{start}的指南涉及{rival}。"],
        "drug-mechanism": ["{start}的作用机制是{rival}。"],
        "drug-mechanism-drug": ["{rival}与{start}的作用机制相同。", "{rival}和{start}通过同一机制起作用。"],
        "drug-interaction": ["{start}与{rival}存在相互作用。", "{rival}和{start}有相互作用的记录。"],
        "variant-disease": ["{start}导致{rival}。", "变异{start}见于{rival}。"],
    },
}
