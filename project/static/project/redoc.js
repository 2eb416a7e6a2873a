// ReDoc shows its maker's logo, from its maker's server, whatever its options say. This page asks nobody elsewhere.
const setAttribute = Element.prototype.setAttribute
const source = Object.getOwnPropertyDescriptor(HTMLImageElement.prototype, 'src')

function isElsewhere(address) {
  const url = new URL(address, location)
  return url.protocol.startsWith('http') && url.origin !== location.origin
}

Element.prototype.setAttribute = function (name, value) {
  if (!(this instanceof HTMLImageElement && name === 'src' && isElsewhere(value))) setAttribute.call(this, name, value)
}

Object.defineProperty(HTMLImageElement.prototype, 'src', {
  ...source,
  set(value) {
    if (!isElsewhere(value)) source.set.call(this, value)
  },
})
