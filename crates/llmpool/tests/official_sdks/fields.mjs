// Prints every field of the official Node SDK's chat and responses types, one path a line, for fields.py.

import { createRequire } from "node:module";
import { join } from "node:path";

// The packages are installed in another directory, which only `createRequire` can be given.
const modules = process.env.LLMPOOL_TEST_NODE_MODULES;
const ts = createRequire(join(modules, "here.js"))("typescript");

const resources = join(modules, "openai", "resources");
const entry = join(modules, "entry.ts");
const source = `
import * as C from '${resources}/chat/completions/completions';
import * as R from '${resources}/responses/responses';
export type Roots = {
  'chat.request': C.ChatCompletionCreateParamsNonStreaming | C.ChatCompletionCreateParamsStreaming,
  'chat.answer': C.ChatCompletion, 'chat.chunk': C.ChatCompletionChunk,
  'responses.request': R.ResponseCreateParamsNonStreaming | R.ResponseCreateParamsStreaming,
  'responses.answer': R.Response, 'responses.event': R.ResponseStreamEvent };`;
const options = {
  strict: true,
  skipLibCheck: true,
  noEmit: true,
  target: ts.ScriptTarget.ES2022,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  module: ts.ModuleKind.NodeNext,
  types: [],
};
const host = ts.createCompilerHost(options);
const read = host.getSourceFile.bind(host);
host.getSourceFile = (file, version) =>
  file === entry ? ts.createSourceFile(file, source, version, true) : read(file, version);
const exists = host.fileExists.bind(host);
host.fileExists = (file) => file === entry || exists(file);
const program = ts.createProgram([entry], options, host);
const checker = program.getTypeChecker();
const roots = checker.getTypeAtLocation(
  program.getSourceFile(entry).statements.find(ts.isTypeAliasDeclaration).name,
);

// The fields whose objects have a root of their own, as in fields.py.
const CUTS = {
  "responses/input": "responses.item",
  "responses/output": "responses.item",
  "responses/item": "responses.item",
  "responses/response": "responses.answer",
  "responses/part": "responses.part",
  "responses/tools": "responses.tool",
  "responses/tool_choice": "responses.tool_choice",
  "chat/tools": "chat.tool",
  "chat/messages": "chat.message",
  "chat/tool_choice": "chat.tool_choice",
};
const out = new Set();
const done = new Set();

function* variants(type) {
  if (type.isUnion()) {
    for (const member of type.types) yield* variants(member);
  } else if (checker.isArrayType(type)) {
    yield* variants(checker.getTypeArguments(type)[0]);
  } else if (type.isIntersection() ? !type.types.some((part) => part.flags & ts.TypeFlags.StringLike) : type.flags & ts.TypeFlags.Object) {
    yield type;
  }
}

function texts(type) {
  if (type.isStringLiteral()) return [type.value];
  return type.isUnion() ? type.types.flatMap(texts) : [];
}

const isField = (property) => !property.declarations || property.declarations.some((found) => ts.isPropertySignature(found));

function tags(fields) {
  for (const name of ["type", "role"]) {
    const field = fields.find((known) => known.name === name);
    const found = field ? texts(checker.getTypeOfSymbol(field)) : [];
    if (found.length) return [name, found];
  }
  return [null, []];
}

function walk(path, type, stack) {
  for (const variant of variants(type)) {
    const fields = checker.getPropertiesOfType(variant).filter(isField);
    if (!fields.length || stack.includes(variant.id) || done.has(path + variant.id)) continue;
    done.add(path + variant.id);
    const [tag, values] = tags(fields);
    for (const head of values.length ? values.map((value) => `${path}(${value})`) : [path]) {
      out.add(head);
      for (const field of fields) {
        const { name } = field;
        if (name === tag) continue;
        out.add(`${head}.${name}`);
        const kind = checker.getTypeOfSymbol(field);
        const cut = CUTS[`${path.split(".")[0]}/${name}`];
        if (cut && (path.split(".").length <= 2 || ["tools", "item", "response", "part"].includes(name))) {
          walk(cut, kind, []);
        } else if (path.startsWith("responses.item") && ["content", "output", "summary"].includes(name)) {
          walk("responses.part", kind, [...stack, variant.id]);
        } else {
          walk(`${head}.${name}`, kind, [...stack, variant.id]);
        }
      }
    }
  }
}

for (const root of checker.getPropertiesOfType(roots)) walk(root.name, checker.getTypeOfSymbol(root), []);
console.log([...out].sort().join("\n"));
