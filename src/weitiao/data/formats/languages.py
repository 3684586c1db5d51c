"""Columns that are called by their languages, as tables of translations have them.

sides(["id", "en", "zh-CN"])  ->  {"source": "en", "target": "zh-CN"}
"""

from __future__ import annotations

from collections.abc import Sequence

# Code (ISO 639-1), English name, Chinese name.  `id` is left out: a column of that name numbers rows, and seldom holds
# Indonesian.
NAMES = """
ar arabic 阿拉伯语|bg bulgarian 保加利亚语|bn bengali 孟加拉语|ca catalan 加泰罗尼亚语|cs czech 捷克语|da danish 丹麦语
de german 德语|el greek 希腊语|en english 英语|es spanish 西班牙语|et estonian 爱沙尼亚语|fa persian 波斯语
fi finnish 芬兰语|fr french 法语|he hebrew 希伯来语|hi hindi 印地语|hr croatian 克罗地亚语|hu hungarian 匈牙利语
it italian 意大利语|ja japanese 日语|kk kazakh 哈萨克语|km khmer 高棉语|ko korean 韩语|lo lao 老挝语|lt lithuanian 立陶宛语
lv latvian 拉脱维亚语|mn mongolian 蒙古语|ms malay 马来语|my burmese 缅甸语|nl dutch 荷兰语|pl polish 波兰语
pt portuguese 葡萄牙语|ro romanian 罗马尼亚语|ru russian 俄语|sk slovak 斯洛伐克语|sl slovenian 斯洛文尼亚语|sr serbian 塞尔维亚语
sv swedish 瑞典语|sw swahili 斯瓦希里语|ta tamil 泰米尔语|th thai 泰语|tr turkish 土耳其语|ug uyghur 维吾尔语
uk ukrainian 乌克兰语|ur urdu 乌尔都语|uz uzbek 乌兹别克语|vi vietnamese 越南语|zh chinese 中文
"""
ALSO = ("eng", "cn", "zho", "汉语", "英文", "日文", "韩文", "法文", "德文", "俄文", "indonesian", "印尼语")
KNOWN = {*NAMES.replace("|", " ").split(), *ALSO}


def is_language(column: str) -> bool:
    """Is a column called by a language: `en`, `zh_CN`, `English`, `中文`, `translation.en`?"""
    name = column.rpartition(".")[2].strip().lower()
    return name in KNOWN or name.replace("_", "-").partition("-")[0] in KNOWN


def sides(found: Sequence[str]) -> dict[str, str]:
    """Source and target where two columns are called by languages, in the order in which they stand; else nothing."""
    named = [column for column in found if is_language(column)]
    return dict(zip(("source", "target"), named, strict=True)) if len(named) == 2 else {}
