// Compiles Solidity and calls a function of it: {source, calls: [hex]} on standard input, [hex] on standard output.
// Needs the npm packages solc and @ethereumjs/evm where NODE_PATH says.
const solc = require("solc");
const { EVM, createEVM } = require("@ethereumjs/evm");
const { hexToBytes, bytesToHex } = require("@ethereumjs/util");

async function main() {
  const { source, calls } = JSON.parse(require("fs").readFileSync(0));
  const compiled = JSON.parse(solc.compile(JSON.stringify({
    language: "Solidity",
    sources: { "Check.sol": { content: source } },
    settings: { viaIR: true, optimizer: { enabled: true }, outputSelection: { "*": { "*": ["evm.deployedBytecode.object"] } } },
  })));
  for (const error of compiled.errors ?? []) console.error(error.formattedMessage);
  const code = hexToBytes("0x" + compiled.contracts["Check.sol"].Check.evm.deployedBytecode.object);
  const evm = await (createEVM ?? EVM.create)();
  const answers = [];
  for (const data of calls) {
    const result = await evm.runCode({ code, data: hexToBytes(data), gasLimit: 1_000_000n });
    if (result.exceptionError) throw new Error(result.exceptionError.error);
    answers.push(bytesToHex(result.returnValue));
  }
  console.log(JSON.stringify(answers));
}

main();
